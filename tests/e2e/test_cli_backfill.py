"""`orch backfill` as people type it, with real processes that do the work."""

import pytest

pytestmark = pytest.mark.e2e

DAILY = """
from orch import DAG, task

with DAG("daily", schedule="0 6 * * *", max_active_runs=1):

    @task
    def step(dag_run):
        return dag_run.conf.get("greeting", "none")

    step()
"""

FIVE = ("--from", "2024-02-01", "--to", "2024-02-05")


@pytest.fixture
def site(site):
    site.dag("daily", DAILY)
    return site


def test_a_backfill_is_previewed_created_worked_off_and_shown(site):
    previewed = site.json("backfill", "preview", "daily", *FIVE)
    assert previewed["counts"] == {"created": 5}
    made = site.orch("backfill", "create", "daily", *FIVE, "--conf", '{"greeting": "hello"}')
    assert made.stdout == (
        "backfill 1 of daily: 5 dates from 2024-02-01 06:00:00Z to 2024-02-05 06:00:00Z,"
        " at most 10 runs at once\n"
    )
    assert made.stderr == "no scheduler is running; the backfill waits for `orch up`\n"
    up = site.up()
    for day in range(1, 6):
        up.wait_for(rf"run daily backfill__1__2024-02-0{day}T06:00:00\+00:00 success")
    assert up.stop() == 0
    shown = site.json("backfill", "show", "1", "--dates")
    assert shown["runs"] == {"success": 5}
    assert [each["outcome"] for each in shown["each_date"]] == ["created"] * 5
    assert site.json("list-runs", "daily")[0]["run_type"] == "backfill"
    lines = site.orch("list-runs", "daily").stdout.splitlines()
    assert lines[0].split()[:3] == ["run_id", "type", "state"]


def test_the_same_request_again_gives_the_same_backfill(site):
    first = site.json("backfill", "create", "daily", *FIVE)
    again = site.json("backfill", "create", "daily", *FIVE)
    assert (first["created"], again["created"]) == (True, False)
    assert first["backfill_id"] == again["backfill_id"] == 1
    refused = site.orch("backfill", "create", "daily", *FIVE, "--backwards")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: backfill 1 of DAG 'daily' is running")


def test_a_dry_run_writes_nothing_and_says_what_would_be_in_the_way(site):
    dry = site.orch("backfill", "create", "daily", *FIVE, "--dry-run")
    assert dry.stdout.splitlines()[-1] == "5 dates: 5 runs to create"
    assert site.json("backfill", "list", "--all") == []
    site.json("backfill", "create", "daily", *FIVE)
    dry = site.orch("backfill", "create", "daily", *FIVE, "--backwards", "--dry-run")
    assert "it would not be created now: backfill 1" in dry.stderr


def test_a_later_end_is_told(site):
    made = site.orch("backfill", "create", "daily", "--from", "2024-02-01", "--to", "8000-01-01")
    assert made.returncode == 0
    assert "only dates that have come are part of it" in made.stderr


def test_it_is_paused_resumed_cancelled_and_listed(site):
    site.json("backfill", "create", "daily", *FIVE)
    assert site.orch("backfill", "pause", "1").stdout == "backfill 1 of daily is paused\n"
    assert site.orch("backfill", "pause", "1").stdout == "backfill 1 of daily was paused already\n"
    assert site.json("backfill", "list", "daily")[0]["state"] == "paused"
    assert site.orch("backfill", "resume", "1").stdout == "backfill 1 of daily goes on\n"
    cancelled = site.orch("backfill", "cancel", "1")
    assert cancelled.stdout == "backfill 1 of daily is cancelled; no run of it is running\n"
    assert site.json("backfill", "list") == []
    assert [row["state"] for row in site.json("backfill", "list", "--all")] == ["cancelled"]
    assert site.orch("backfill", "resume", "1").returncode == 2


def test_a_paused_backfill_and_a_paused_dag_are_told_where_they_matter(site):
    site.json("backfill", "create", "daily", *FIVE)
    site.orch("pause", "daily")
    assert "DAG daily is paused" in site.orch("backfill", "show", "1").stdout
    assert "waits for `orch unpause daily`" in site.orch("backfill", "create", "daily", *FIVE).stderr
    site.orch("backfill", "pause", "1")
    assert "orch backfill resume 1" in site.orch("backfill", "create", "daily", *FIVE).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "daily", "--from", "soon", "--to", "2024-02-05"), "'soon' is not a moment"),
        (("create", "daily", "--from", "2024-02-05", "--to", "2024-02-01"), "swap them"),
        (("create", "dayly", *FIVE), "did you mean 'daily'"),
        (("create", "daily", *FIVE, "--max-active", "0"), "--max-active is 1 to 1000"),
        (("create", "daily", *FIVE, "--conf", "[]"), "JSON but not an object"),
        (("create", "daily", *FIVE, "--reprocess", "all"), "'all' is not one of"),
        (("create", "daily", "--from", "2024-02-01T07:00", "--to", "2024-02-01T08:00"), "the nearest are"),
        (("show", "7"), "unknown backfill 7"),
        (("list", "dayly"), "did you mean 'daily'"),
    ],
)
def test_bad_input_is_told_with_a_remedy(site, arguments, words):
    assert site.orch("list-dags").returncode == 0
    refused = site.orch("backfill", *arguments)
    assert refused.returncode == 2
    assert words in refused.stderr
