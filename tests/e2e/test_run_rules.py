"""Run rules with real processes: what is ended is gone and says why, and order survives kills."""

import os
import select
import signal
from pathlib import Path

import pytest

from orch.worker.logs import read_end, read_log

pytestmark = pytest.mark.e2e

SLEEPERS = """
import os
import time
from datetime import timedelta
from pathlib import Path

from orch import DAG, task
from orch_standard import BashOperator

FOLDER = Path(os.environ["RULES_FOLDER"])
BASH = f"sleep 600 & echo $! > {FOLDER}/pids; wait"

with DAG("slow_bash", schedule=None, dagrun_timeout=timedelta(seconds=2)):

    @task
    def after(): ...

    BashOperator(task_id="sleeps", bash_command=BASH) >> after()

with DAG("slow_python", schedule=None, dagrun_timeout=timedelta(seconds=2)):

    @task
    def sleeps():
        (FOLDER / "pids").write_text(str(os.getpid()))
        time.sleep(600)

    @task
    def after(): ...

    sleeps() >> after()

with DAG("fast", schedule=None, fail_fast=True):

    @task(retries=0)
    def fails():
        (FOLDER / "go").read_text()
        raise ValueError("no such table")

    @task
    def after(): ...

    [BashOperator(task_id="sleeps", bash_command=BASH), fails()] >> after()
"""

ORDERED = """
import os
from datetime import datetime, timedelta
from pathlib import Path

from orch import DAG, task

with DAG(
    "ordered",
    schedule="@daily",
    start_date=datetime(2024, 1, 1),
    end_date=datetime(2024, 1, 20),
    catchup=True,
    max_active_runs=6,
    default_args={"retries": 20, "retry_delay": timedelta(0)},
):

    @task(wait_for_downstream=True)
    def load(logical_date, ti):
        if (logical_date.day * 7 + ti.try_number) % 3 == 0:
            raise ValueError("this try fails on purpose")
        with open(os.environ["RULES_FOLDER"] + "/loads", "a") as loads:
            loads.write(f"load {logical_date:%d}\\n")

    @task
    def report(logical_date):
        with open(os.environ["RULES_FOLDER"] + "/loads", "a") as loads:
            loads.write(f"report {logical_date:%d}\\n")

    load() >> report()
"""

NO_HEARTBEATS = {"ORCH_WORKER_HEARTBEAT_SECONDS": "300", "ORCH_WORKER_LEASE_SECONDS": "3600"}
"""A worker that learns of an end in time can only have been told by a hint."""


def watch_sleeper(site) -> int:
    """Wait until the task sleeps; return a descriptor that is readable when its process has ended."""
    with (site.folder / "pids").open() as pids:  # opens when the task does
        return os.pidfd_open(int(pids.readline()))


def assert_gone(pidfd: int) -> None:
    assert select.select([pidfd], [], [], 10)[0], "the task's process outlived its run"
    os.close(pidfd)


def assert_log_says(site, dag_id: str, run_id: str, why: str) -> None:
    (path,) = (site.home / "logs" / dag_id / run_id).glob("sleeps.try-*")
    assert read_end(path) == "revoked"
    assert [line.text for line in read_log(path) if line.stream == "orch"] == [why]


@pytest.mark.parametrize("dag_id", ["slow_bash", "slow_python"])
def test_a_run_out_of_time_leaves_no_process_and_tells_why_everywhere(site, dag_id):
    site.dag("sleepers", SLEEPERS)
    os.mkfifo(site.folder / "pids")
    up = site.up(RULES_FOLDER=str(site.folder), **NO_HEARTBEATS)
    up.wait_for("ready")
    run_id = site.orch("trigger", dag_id, RULES_FOLDER=str(site.folder)).stdout.strip()
    sleeper = watch_sleeper(site)
    up.wait_for(rf"run {dag_id} \S+ failed")
    assert_gone(sleeper)
    assert up.stop() == 0
    assert_log_says(site, dag_id, run_id, "ended: the run took longer than its dagrun_timeout of 2 s")
    status = site.json("status", dag_id)
    assert (status["state"], status["reason"]) == ("failed", "dagrun_timeout")
    assert [(task["task_id"], task["state"]) for task in status["tasks"]] == [
        ("sleeps", "cancelled"),
        ("after", "skipped"),
    ]
    answers = site.json("why", dag_id)
    assert {answer["reason"] for answer in answers} == {"dagrun_timeout"}
    assert [answer["task_id"] for answer in answers] == [None, "sleeps", "after"]


def test_the_first_failure_ends_the_sleeper_beside_it(site):
    site.dag("sleepers", SLEEPERS)
    for name in ("pids", "go"):
        os.mkfifo(site.folder / name)
    up = site.up(RULES_FOLDER=str(site.folder), **NO_HEARTBEATS)
    up.wait_for("ready")
    run_id = site.orch("trigger", "fast", RULES_FOLDER=str(site.folder)).stdout.strip()
    sleeper = watch_sleeper(site)
    (site.folder / "go").write_text("now")
    up.wait_for(r"run fast \S+ failed")
    assert_gone(sleeper)
    assert up.stop() == 0
    assert_log_says(
        site, "fast", run_id, "ended: another task of the run has failed, and the DAG has fail_fast"
    )
    states = {
        task["task_id"]: (task["state"], task["reason"]) for task in site.json("status", "fast")["tasks"]
    }
    assert states == {
        "fails": ("failed", "task_failed"),
        "sleeps": ("cancelled", "fail_fast"),
        "after": ("skipped", "fail_fast"),
    }
    (about_run,) = [answer for answer in site.json("why", "fast") if answer["task_id"] is None]
    assert (about_run["reason"], about_run["blocking"]) == ("fail_fast", ["fails"])


def test_orch_run_ends_with_a_run_that_is_out_of_time_and_says_so(site):
    site.dag("sleepers", SLEEPERS.replace("echo $! >", "true"))
    done = site.orch("run", "slow_bash", RULES_FOLDER=str(site.folder))
    assert done.returncode == 1
    assert "ended early: The run took longer than the `dagrun_timeout` of its DAG." in done.stdout
    assert "sleeps: cancelled" in done.stdout


def test_twenty_runs_go_strictly_in_order_though_their_scheduler_is_killed_again_and_again(site):
    site.dag("ordered", ORDERED)
    up = site.up(RULES_FOLDER=str(site.folder), ORCH_SCHEDULER_LEASE_SECONDS="3600")
    for day in ("02", "05", "09", "14"):
        up.wait_for(rf"run ordered scheduled__2024-01-{day}\S+ success")
        os.kill(up.pid_of("scheduler"), signal.SIGKILL)
    up.wait_for(r"run ordered scheduled__2024-01-20\S+ success")
    assert up.stop() == 0
    runs = site.json("list-runs", "ordered")
    assert [run["state"] for run in runs] == ["success"] * 20
    lines = Path(site.folder, "loads").read_text().splitlines()
    assert list(dict.fromkeys(lines)) == [
        f"{what} {day:02d}" for day in range(1, 21) for what in ("load", "report")
    ]
