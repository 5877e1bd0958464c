"""`orch schedule`: from a file that nobody has registered yet, and with mistakes."""

import pytest

pytestmark = pytest.mark.e2e

NIGHTLY = """
from orch import DAG, task

with DAG("nightly", schedule="30 2 * * *", timezone="Europe/Berlin"):
    @task
    def step():
        return None

    step()
"""


def test_a_preview_needs_no_server_and_no_registered_dag(site):
    site.dag("nightly", NIGHTLY)
    document = site.json("schedule", "preview", "nightly", "--from", "2024-03-30", "--to", "2024-04-01")
    assert [run["local"] for run in document["runs"]] == [
        "2024-03-30T02:30:00+01:00",
        "2024-03-31T03:00:00+02:00",
        "2024-04-01T02:30:00+02:00",
    ]
    assert document["runs"][1]["mark"] == "for a time that the clock skips"
    shown = site.orch("schedule", "preview", "nightly", "-n", "3")
    assert (shown.returncode, len(shown.stdout.splitlines())) == (0, 4)


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (("nightli",), "did you mean 'nightly'?"),
        (("nightly", "-n", "0"), "it must be from 1 to 100000"),
        (("nightly", "--from", "2024-05-02", "--to", "2024-05-01"), "exchange them"),
        (("nightly", "--from", "soon"), "write 2026-01-31"),
    ],
)
def test_a_mistake_is_answered_with_a_remedy(site, words, remedy):
    site.dag("nightly", NIGHTLY)
    refused = site.orch("schedule", "preview", *words)
    assert (refused.returncode, remedy in refused.stderr) == (2, True)
