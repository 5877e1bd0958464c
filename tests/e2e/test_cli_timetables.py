"""Timetables in real DAG files, with a plugin from a folder, under `orch up` and in the commands that look."""

import shutil
from pathlib import Path

import pytest
from tests.e2e.site import Site

pytestmark = pytest.mark.e2e

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
SCHEDULES = """
from datetime import datetime, timedelta
from orch import DAG, Fail, task
from orch.timetables import CronInterval, PluginTimetable

BERLIN = {"timezone": "Europe/Berlin", "catchup": True}


@task
def tell(data_interval_start, data_interval_end, logical_date):
    print(f"data from {data_interval_start} to {data_interval_end} for {logical_date}")


@task
def fail():
    raise Fail("on purpose")


with DAG("daily", schedule=CronInterval("0 0 * * *"), start_date=datetime(2024, 3, 30), end_date=datetime(2024, 3, 31),
         jitter=timedelta(minutes=5), **BERLIN):
    tell()

with DAG("work", schedule=PluginTimetable("workdays", hour=6, holidays=["2024-04-01"]), **BERLIN,
         start_date=datetime(2024, 3, 28), end_date=datetime(2024, 3, 31)):
    tell()

with DAG("always", schedule="@continuous"):
    fail()

with DAG("never", schedule=[datetime(2999, 1, 1)]):
    tell()
"""


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.close()


def test_each_schedule_of_a_file_makes_its_runs(site):
    plugins = site.folder / "plugins"
    plugins.mkdir()
    shutil.copy(PLUGINS / "workdays.py", plugins)
    site.dag("schedules", SCHEDULES)
    up = site.up(ORCH_PLUGINS=str(plugins))
    up.wait_for(r"run daily scheduled__2024-03-30T23:00:00\+00:00 success")
    up.wait_for(r"run work scheduled__2024-03-29T05:00:00\+00:00 success")
    up.wait_for(r"run always scheduled__\S+ failed")
    always = len(site.json("list-runs", "always"))
    while len(site.json("list-runs", "always")) < always + 2:  # a run that failed is followed by the next
        up.wait_for("run always", seconds=5)
    schedules = {dag["dag_id"]: dag["schedule"] for dag in site.json("list-dags")}
    assert schedules == {
        "daily": "0 0 * * * (interval)",
        "work": "workdays at 06:00 without 1 holiday",
        "always": "@continuous",
        "never": "on 2999-01-01 00:00",
    }
    log = site.orch("task-log", "daily", "tell", "--run", "scheduled__2024-03-30T23:00:00+00:00").stdout
    assert "data from 2024-03-30 23:00:00+00:00 to 2024-03-31 22:00:00+00:00" in log  # 23 hours long
    runs = [run["run_id"] for run in site.json("list-runs", "work")]
    assert runs == [f"scheduled__2024-03-{day}T05:00:00+00:00" for day in (29, 28)]
    assert up.stop() == 0


def test_a_timetable_that_no_plugin_brings_is_an_import_problem_of_its_file(site):
    site.dag("schedules", SCHEDULES)
    done = site.orch("dags", "check")
    assert done.returncode != 0
    assert (
        "DAG 'work': unknown timetable 'workdays'; install the plugin that brings it"
        in done.stdout + done.stderr
    )
