"""`orch trigger` and the commands around it, with real processes: ids, keys, waiting, logs, reasons."""

import json
import os
import subprocess

import pytest
from tests.e2e.site import ORCH

pytestmark = pytest.mark.e2e

PAIR = """
from orch import DAG, task

with DAG("pair", schedule=None):

    @task
    def first():
        print("hello from first")

    @task
    def second(x):
        raise ValueError("no")

    second(first())
"""

GATE = """
import os
from pathlib import Path
from orch import DAG, task

with DAG("gate", schedule=None):

    @task
    def wait():
        folder = Path(os.environ["GATE"])
        print("before", flush=True)
        (folder / "here").write_text("x")
        (folder / "go").read_text()
        print("after", flush=True)

    wait()
"""


def test_trigger_prints_only_the_run_id_and_leaves_the_run_to_a_server(site):
    site.dag("pair", PAIR)
    done = site.orch("trigger", "pair", "--run-id", "mine")
    assert (done.returncode, done.stdout) == (0, "mine\n")
    assert "no scheduler is running; the run waits for `orch up`" in done.stderr
    assert site.json("status", "pair")["state"] == "queued"
    assert site.json("why", "pair")[0]["reason"] == "no_live_scheduler"
    up = site.up()
    up.wait_for("^run pair mine failed")


def test_wait_ends_with_the_state_of_the_run(site):
    site.dag("pair", PAIR)
    site.up().wait_for("^ready")
    done = site.orch("trigger", "pair", "--wait")
    assert done.returncode == 1
    assert done.stderr == ""
    assert site.json("status", "pair")["run_id"] == done.stdout.strip()
    site.dag("pair", PAIR.replace('raise ValueError("no")', "return x"))
    assert site.orch("trigger", "pair", "--wait").returncode == 0


def test_the_same_key_again_prints_the_same_run(site):
    site.dag("pair", PAIR)
    first = site.orch("trigger", "pair", "--idempotency-key", "k")
    again = site.orch("trigger", "pair", "--idempotency-key", "k")
    assert first.stdout == again.stdout
    third = site.json("trigger", "pair", "--idempotency-key", "k")
    assert third == {"dag_id": "pair", "run_id": first.stdout.strip(), "created": False}
    other = site.orch("trigger", "pair", "--idempotency-key", "k", "--conf", '{"a": 1}')
    assert other.returncode == 2
    assert "idempotency key 'k'" in other.stderr
    assert len(site.json("list-runs", "pair")) == 1


def test_a_logical_date_beside_the_schedule_is_pointed_out_with_the_near_ones(site):
    site.dag("pair", PAIR.replace("schedule=None", 'schedule="0 6 * * *", timezone="Europe/Berlin"'))
    beside = site.orch("trigger", "pair", "--logical-date", "2026-07-02")
    assert (
        "none of the schedule; near ones are 2026-07-01T06:00:00+02:00 and 2026-07-02T06:00" in beside.stderr
    )
    assert (
        "none of the schedule"
        not in site.orch("trigger", "pair", "--logical-date", "2026-07-02T06:00").stderr
    )


def test_many_triggers_at_once_make_a_run_each(site, start):
    site.dag("pair", PAIR)
    assert site.orch("list-dags").returncode == 0
    triggers = [start("trigger", "pair") for _ in range(6)]
    names = {process.communicate(timeout=60)[0].split()[0] for process in triggers}
    assert [process.returncode for process in triggers] == [0] * 6
    assert {run["run_id"] for run in site.json("list-runs", "pair")} == names
    assert len(names) == 6


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("pear",), "unknown DAG 'pear'; did you mean 'pair'?"),
        (("pair", "--conf", "{"), "'{' is not JSON"),
        (("pair", "--conf", '"x"'), "not an object"),
        (("pair", "--logical-date", "2024-13-01"), "is not a moment"),
        (("pair", "--run-id", "asset__1"), "reserved prefix"),
        (("pair", "--nope"), "--nope"),
        ((), "DAG"),
    ],
)
def test_bad_input_is_refused_with_2(site, args, message):
    site.dag("pair", PAIR)
    done = site.orch("trigger", *args)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_a_dag_in_a_fresh_home_is_listed_and_drawn_without_a_server(site):
    site.dag("pair", PAIR)
    site.dag("broken", "import orch\n1 / 0\n")
    done = site.orch("list-dags", "--json")
    assert [dag["dag_id"] for dag in json.loads(done.stdout)] == ["pair"]
    assert done.stderr == "broken.py:2 cannot be imported: ZeroDivisionError: division by zero\n"
    assert "second" in site.orch("show", "pair").stdout


def test_task_log_follows_a_running_task_to_its_end(site, start):
    site.dag("gate", GATE)
    for name in ("here", "go"):
        os.mkfifo(site.folder / name)
    site.up(GATE=str(site.folder)).wait_for("^ready")
    site.orch("trigger", "gate")
    assert (site.folder / "here").read_text() == "x"
    follower = start("task-log", "gate", "wait", "--follow")
    assert follower.stdout is not None
    assert follower.stdout.readline().endswith("before\n")
    (site.folder / "go").write_text("go")
    assert follower.stdout.read().endswith("after\n")
    assert follower.wait(30) == 0


def test_list_runs_into_a_closed_pipe_is_silent(site):
    site.dag("pair", PAIR)
    for _ in range(3):
        site.orch("trigger", "pair")
    command = f"{ORCH} list-runs pair | head -1"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=site.folder,
        env=site.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("run_id")
