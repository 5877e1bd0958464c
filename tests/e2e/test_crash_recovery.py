"""Crashes: any process may die at any transaction boundary; the work ends anyway, once, without a hand."""

import os
import select
import signal
import time
from pathlib import Path

import pytest
from tests.e2e.site import descendants

from orch.failpoints import FAILPOINTS

pytestmark = pytest.mark.e2e

CRASH = """
from datetime import timedelta
from orch import DAG, task

with DAG("crash", schedule="@once", default_args={"retries": 2, "retry_delay": timedelta(0)}):

    @task
    def step(n):
        return n

    first = step.override(task_id="first")(0)
    last = step.override(task_id="last")(9)
    first >> [step.override(task_id=f"t{n}")(n) for n in range(3)] >> last
"""

SLOW = """
import os
from pathlib import Path
from orch import DAG, task

with DAG("slow", schedule=None):

    @task
    def wait(folder):
        # the first execution waits for ever, the second one finds the mark of the first
        mark = Path(folder) / "started"
        if mark.exists():
            return os.getpid()
        mark.write_text(str(os.getpid()))
        os.mkfifo(Path(folder) / "never")
        open(Path(folder) / "never").read()

    wait(os.environ["SLOW_FOLDER"]) >> wait.override(task_id="after")(os.environ["SLOW_FOLDER"])
"""


IN_ITS_OWN_TEST = {"send.begin", "send.before_commit", "send.after_commit"}
"""Only an executor with an inventory of its own makes this transaction: tests/integration/test_send.py."""
BEFORE_THE_COMPONENTS = "migrate"
"""`orch up` makes this transaction itself, when it brings the database to this code."""
OF_A_REFUSED_COMMAND = {"audit.begin", "audit.before_commit", "audit.after_commit"}
OF_THE_PAUSE_COMMAND = {"pause.begin", "pause.before_commit", "pause.after_commit"}
OF_THE_POOLS_COMMAND = {"pool.begin", "pool.before_commit", "pool.after_commit"}
OF_A_BACKFILL = {"backfill.begin", "backfill.before_commit", "backfill.after_commit"}
"""Made by its commands, and by the scheduler when there is one."""
OF_A_COMMAND = OF_A_REFUSED_COMMAND | OF_THE_PAUSE_COMMAND | OF_THE_POOLS_COMMAND | OF_A_BACKFILL
"""Made by commands and by no component: tests of their own."""


@pytest.mark.parametrize("failpoint", sorted(set(FAILPOINTS) - IN_ITS_OWN_TEST - OF_A_COMMAND))
def test_a_kill_at_any_failpoint_costs_nothing(site, failpoint):
    site.dag("crash", CRASH)
    marker = site.folder / "hit"
    armed = {
        "ORCH_TESTING": "1",
        "ORCH_FAILPOINT": f"{failpoint}:kill",
        "ORCH_FAILPOINT_ONCE": str(marker),
    }
    up = site.up(**armed)
    if failpoint.startswith(BEFORE_THE_COMPONENTS):
        assert up.process.wait(60) == -signal.SIGKILL
        up = site.up(**armed)
    if failpoint.startswith("rescue"):  # there is nobody to rescue as long as nobody else dies
        up.wait_for("ready")
        os.kill(up.pid_of("worker"), signal.SIGKILL)
        up.wait_for(r"scheduler \(pid \d+\) ended: signal 9")
    if failpoint.startswith("heartbeat"):
        up.wait_for("ended: signal 9")
    up.wait_for(r"run crash scheduled__\S+ success")
    assert up.stop() == 0
    assert marker.exists(), "the failpoint was never hit"
    (run,) = site.json("list-runs", "crash")
    assert run["state"] == "success"


@pytest.mark.parametrize("failpoint", sorted(OF_THE_PAUSE_COMMAND))
def test_a_killed_pause_has_happened_whole_or_not_at_all(site, failpoint):
    site.dag("crash", CRASH)
    armed = {"ORCH_TESTING": "1", "ORCH_FAILPOINT": f"{failpoint}:kill"}
    assert site.orch("pause", "crash", **armed).returncode == -signal.SIGKILL
    (dag,) = site.json("list-dags")
    assert dag["is_paused"] is (failpoint == "pause.after_commit")
    assert site.orch("pause", "crash").returncode == 0
    assert site.json("list-dags")[0]["is_paused"] is True


@pytest.mark.parametrize("failpoint", sorted(OF_THE_POOLS_COMMAND))
def test_a_killed_change_of_a_pool_has_happened_whole_or_not_at_all(site, failpoint):
    armed = {"ORCH_TESTING": "1", "ORCH_FAILPOINT": f"{failpoint}:kill"}
    assert site.orch("pools", "set", "db", "2", **armed).returncode == -signal.SIGKILL
    names = [row["pool"] for row in site.json("pools", "list")]
    assert ("db" in names) is (failpoint == "pool.after_commit")


FILL = ("--from", "2024-02-01", "--to", "2024-02-05", "--max-active", "2")


@pytest.mark.parametrize("failpoint", sorted(OF_A_BACKFILL))
def test_a_scheduler_killed_while_it_fills_dates_makes_each_run_once(site, failpoint):
    site.dag("crash", CRASH.replace("@once", "0 6 * * *"))
    assert site.orch("backfill", "create", "crash", *FILL).returncode == 0
    marker = site.folder / "hit"
    up = site.up(ORCH_TESTING="1", ORCH_FAILPOINT=f"{failpoint}:kill", ORCH_FAILPOINT_ONCE=str(marker))
    up.wait_for(r"run crash backfill__1__2024-02-05\S+ success")
    while site.json("backfill", "show", "1")["state"] != "completed":
        assert up.process.poll() is None
    assert up.stop() == 0
    assert marker.exists(), "the failpoint was never hit"
    runs = [run for run in site.json("list-runs", "crash") if run["run_type"] == "backfill"]
    dates = sorted(run["logical_date"][:10] for run in runs)
    assert dates == [f"2024-02-0{day}" for day in range(1, 6)]
    assert {run["state"] for run in runs} == {"success"}


@pytest.mark.parametrize("failpoint", sorted(OF_A_BACKFILL))
def test_a_killed_backfill_command_has_happened_whole_or_not_at_all(site, failpoint):
    site.dag("crash", CRASH.replace("@once", "0 6 * * *"))
    armed = {"ORCH_TESTING": "1", "ORCH_FAILPOINT": f"{failpoint}:kill"}
    assert site.orch("backfill", "create", "crash", *FILL, **armed).returncode == -signal.SIGKILL
    happened = failpoint == "backfill.after_commit"
    assert len(site.json("backfill", "list")) == happened
    assert site.json("backfill", "create", "crash", *FILL)["created"] is not happened
    assert site.orch("backfill", "cancel", "1", **armed).returncode == -signal.SIGKILL
    (found,) = site.json("backfill", "list", "--all")
    assert found["state"] == ("cancelled" if happened else "running")


@pytest.mark.parametrize("failpoint", sorted(OF_A_REFUSED_COMMAND))
def test_a_command_killed_while_it_notes_its_refusal_has_done_nothing(site, failpoint):
    site.dag("crash", CRASH.replace("@once", "@yearly"))
    assert site.orch("run", "crash", "--run-id", "taken").returncode == 0
    killed = site.orch(
        "trigger", "crash", "--run-id", "taken", ORCH_TESTING="1", ORCH_FAILPOINT=f"{failpoint}:kill"
    )
    assert killed.returncode == -signal.SIGKILL
    refused = site.orch("trigger", "crash", "--run-id", "taken")
    assert (refused.returncode, len(site.json("list-runs", "crash"))) == (2, 1)


@pytest.mark.parametrize("failpoint", ["evaluate.before_commit", "report.after_commit", "claim.begin"])
def test_an_error_at_a_failpoint_is_waited_out(site, failpoint):
    site.dag("crash", CRASH)
    marker = site.folder / "hit"
    up = site.up(ORCH_TESTING="1", ORCH_FAILPOINT=f"{failpoint}:error", ORCH_FAILPOINT_ONCE=str(marker))
    up.wait_for(r"run crash scheduled__\S+ success")
    assert marker.exists()
    assert up.stop() == 0


def test_everything_killed_at_once_goes_on_with_the_next_up_without_waiting_for_a_lease(site):
    site.dag("slow", SLOW)
    lease = {"ORCH_SCHEDULER_LEASE_SECONDS": "3600", "ORCH_WORKER_LEASE_SECONDS": "3600"}
    up = site.up(SLOW_FOLDER=str(site.folder), **lease)
    up.wait_for("ready")
    run_id = site.orch("trigger", "slow").stdout.strip()
    up.wait_for(rf"run slow {run_id.replace('+', '.')} running")
    with open_when_made(site.folder / "never"):
        up.kill_everything()
    again = site.up(SLOW_FOLDER=str(site.folder), **lease)
    again.wait_for(rf"run slow {run_id.replace('+', '.')} success", seconds=30)
    assert again.stop() == 0
    status = site.json("status", "slow", run_id)
    assert [task["try_number"] for task in status["tasks"]] == [1, 1]


def open_when_made(path):
    """Open the writing end of the FIFO; that returns when the task has opened the reading end."""
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until, "the task never started"
        os.sched_yield()
    return path.open("w")


@pytest.mark.parametrize("component", ["scheduler", "worker", "dag-processor"])
def test_a_killed_component_is_started_again_and_its_children_die_with_it(site, component):
    site.dag("crash", CRASH)
    up = site.up()
    up.wait_for("ready")
    pid = up.pid_of(component)
    children = descendants(pid)
    os.kill(pid, signal.SIGKILL)
    up.wait_for(rf"{component} \(pid {pid}\) ended: signal 9")
    up.wait_for(r"run crash scheduled__\S+ success")
    assert up.pid_of(component) != pid or len([x for x in up.lines if f"{component} started" in x]) == 1
    assert up.stop() == 0
    assert not [child for child in children if is_alive(child)]


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_after_up_is_killed_nothing_of_it_lives(site):
    site.dag("crash", CRASH)
    up = site.up()
    up.wait_for("ready")
    family = descendants(up.process.pid)
    handles = [os.pidfd_open(pid) for pid in family]
    os.kill(up.process.pid, signal.SIGKILL)
    for handle in handles:
        assert select.select([handle], [], [], 5)[0], "a process outlived `orch up`"
        os.close(handle)
    again = site.up()
    again.wait_for("ready")
    assert again.stop() == 0
