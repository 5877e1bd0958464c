"""`orch pause` and `orch unpause` as people type them."""

import pytest
from tests.e2e.site import Site

pytestmark = pytest.mark.e2e

HOURLY = """
from datetime import datetime
from orch import DAG, task

with DAG("hourly", schedule="@hourly", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 1, 9), catchup=True,
         is_paused_upon_creation=True):

    @task
    def step():
        return 1

    step()
"""


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    site.dag("hourly", HOURLY)
    yield site
    site.close()


def test_unpausing_shows_first_what_is_due(site):
    shown = site.orch("unpause", "hourly", "--dry-run")
    assert shown.stdout.splitlines()[0] == "10 runs are due at once:"
    assert "2024-01-01T09:00:00" in shown.stdout
    assert site.json("list-dags")[0]["is_paused"] is True
    document = site.json("unpause", "hourly")
    assert (document["is_paused"], document["changed"], len(document["due"])) == (False, True, 10)


def test_a_pause_is_told_and_a_second_one_too(site):
    site.orch("unpause", "hourly")
    assert site.orch("pause", "hourly").stdout == "hourly is paused\n"
    assert site.orch("pause", "hourly").stdout == "hourly was paused already\n"


def test_an_unknown_dag_is_bad_input(site):
    done = site.orch("pause", "hourley")
    assert done.returncode == 2
    assert "did you mean 'hourly'?" in done.stderr


def test_a_run_of_a_paused_dag_is_refused_with_the_command_that_unpauses_it(site):
    done = site.orch("run", "hourly")
    assert done.returncode == 2
    assert "unpause it with `orch unpause hourly`" in done.stderr
    assert "orch unpause hourly" in site.orch("trigger", "hourly").stderr
