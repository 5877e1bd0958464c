"""`orch run`: one DAG to its end, with an engine of its own or in a server, and what its exit code says."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest
from tests.e2e.site import ORCH, Site, descendants

pytestmark = pytest.mark.e2e

PAIR = """
from orch import DAG, get_current_context, task

with DAG("pair", schedule=None):

    @task
    def first():
        print("hello from first")
        return get_current_context()["conf"].get("n", 20)

    @task
    def second(n):
        return {"answer": n + 1}

    second(first())
"""

BAD = """
from datetime import timedelta
from orch import DAG, task

with DAG("bad", schedule=None, default_args={"retries": 1, "retry_delay": timedelta(seconds=0.5)}):

    @task
    def boom():
        print("the last words")
        raise ValueError("no such luck")

    @task
    def never(x):
        return x

    never(boom())
"""

GATE = """
import os
from pathlib import Path
from orch import DAG, task

with DAG("gate", schedule=None):

    @task
    def wait():
        folder = Path(os.environ["GATE"])
        print("waiting", flush=True)
        with open(folder / "here", "w") as here:
            here.write("x")
        with open(folder / "go") as go:
            go.read()
        return "through"

    wait()
"""


@pytest.fixture
def gate(site: Site, monkeypatch: pytest.MonkeyPatch):
    """A DAG whose task says that it has begun and then waits: two named pipes in the folder of the test."""
    site.dag("gate", GATE)
    for name in ("here", "go"):
        os.mkfifo(site.folder / name)
    monkeypatch.setenv("GATE", str(site.folder))
    return site


def wait_until_begun(site: Site) -> None:
    assert (site.folder / "here").read_text() == "x"


def open_gate(site: Site) -> None:
    (site.folder / "go").write_text("go")


def end_of(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=60)
    return out


def only_run(site: Site, dag_id: str):
    (run,) = site.json("list-runs", dag_id)
    return run


def test_a_run_in_a_fresh_home_ends_with_its_results(site):
    site.dag("pair", PAIR)
    done = site.orch("run", "pair")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^run manual__\S+ of pair: 2 tasks$", done.stdout, re.MULTILINE)
    assert re.search(r"^first: success in \d", done.stdout, re.MULTILINE)
    assert done.stdout.splitlines()[-1] == 'second: {"answer": 21}'
    assert done.stderr == ""
    assert only_run(site, "pair")["state"] == "success"


def test_conf_run_id_and_date_reach_the_run(site):
    site.dag("pair", PAIR)
    done = site.orch("run", "pair", "--conf", '{"n": 1}', "--run-id", "mine", "--logical-date", "2024-02-03")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == 'second: {"answer": 2}'
    run = only_run(site, "pair")
    assert (run["run_id"], run["logical_date"]) == ("mine", "2024-02-03T00:00:00.000000+00:00")


def test_no_process_of_its_own_engine_is_left(site, start):
    site.dag("pair", PAIR)
    process = start("run", "pair")
    ends: dict[int, int | None] = {}
    assert process.stdout is not None
    for _ in process.stdout:
        for pid in descendants(process.pid):
            ends.setdefault(pid, _pidfd(pid))
    assert process.wait(30) == 0
    process.stdout.close()
    for end in filter(None, ends.values()):
        assert select.select([end], [], [], 10)[0]
        os.close(end)


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def test_a_failed_run_shows_why_and_exits_with_1(site):
    site.dag("bad", BAD)
    done = site.orch("run", "bad")
    assert done.returncode == 1
    retry = r"^boom: up_for_retry in \S+ s on try 1 of 2: ValueError: no such luck; again in 0\.5 s$"
    assert re.search(retry, done.stdout, re.MULTILINE)
    assert "never: upstream_failed" in done.stdout
    assert "task 'boom' failed on try 2 of 2: ValueError: no such luck" in done.stdout
    assert "  | the last words" in done.stdout
    run_id = only_run(site, "bad")["run_id"]
    more = f"orch task-log bad boom --run {run_id}"
    assert f"  more: {more}" in done.stdout
    log = site.orch(*more.split()[1:])
    assert "the last words" in log.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("pear",), "unknown DAG 'pear'; did you mean 'pair'?"),
        (("pair", "--conf", "nope"), "'nope' is not JSON"),
        (("pair", "--conf", "[1]"), "not an object"),
        (("pair", "--logical-date", "soon"), "'soon' is not a moment"),
        (("pair", "--run-id", "scheduled__1"), "reserved prefix 'scheduled__'"),
        (("pair", "--run-id", "../../x"), "is not allowed"),
    ],
)
def test_bad_input_is_refused_with_2_and_makes_no_run(site, args, message):
    site.dag("pair", PAIR)
    done = site.orch("run", *args)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    if (site.home / "orch.db").exists():
        assert site.orch("list-runs", "pair", "--json").stdout.strip() == "[]"


def test_a_dag_that_is_in_a_broken_file_is_explained(site):
    site.dag("broken", "from orch import DAG\nDAG('mine')\n1 / 0\n")
    done = site.orch("run", "mine")
    assert done.returncode == 2
    assert "broken.py:3 cannot be imported: ZeroDivisionError" in done.stderr
    assert "unknown DAG 'mine'" in done.stderr


def test_broken_files_of_others_are_only_counted(site):
    site.dag("pair", PAIR)
    site.dag("mine", "from orch import DAG\n1 / 0\n")
    site.dag("text", "from orch import DAG\nDAG('mine')\n1 / 0\n")
    for name in ("one", "two"):
        site.dag(name, "from orch import DAG\n1 / 0\n")
    good = site.orch("run", "pair")
    assert good.returncode == 0
    assert good.stderr == "4 files cannot be imported; see `orch dags errors`\n"
    first, second, count, refusal = site.orch("run", "mine").stderr.splitlines()
    assert (first.split()[0], second.split()[0]) == ("mine.py:2", "text.py:3")
    assert count == "2 other files cannot be imported; see `orch dags errors`"
    assert refusal.startswith("error: unknown DAG 'mine'")


def test_the_schema_stays_while_a_run_works_with_it(gate, start):
    process = start("run", "gate")
    wait_until_begun(gate)
    refused = gate.orch("db", "downgrade", "base", "--yes")
    open_gate(gate)
    assert end_of(process).splitlines()[-1] == "wait: through"
    assert refused.returncode == 2
    assert re.search(r"worker \(pid \d+ on .*stop `orch run` or `orch up` first", refused.stderr)


def test_a_missing_dags_folder_is_named(site):
    site.dags.rmdir()
    done = site.orch("run", "pair")
    assert done.returncode == 2
    assert f"dags folder '{site.dags}' does not exist" in done.stderr


def test_a_changed_file_is_seen_by_the_next_run(site):
    site.dag("pair", PAIR)
    assert site.orch("run", "pair").returncode == 0
    site.dag("pair", PAIR.replace("n + 1", "n + 100"))
    assert site.orch("run", "pair").stdout.splitlines()[-1] == 'second: {"answer": 120}'
    site.dag("pair", PAIR.replace("second(first())", "second.override(task_id='third')(second(first()))"))
    assert "3 tasks" in site.orch("run", "pair").stdout


def test_it_joins_a_server_instead_of_bringing_its_own(gate, start):
    up = gate.up(GATE=str(gate.folder))
    up.wait_for("^ready")
    process = start("run", "gate")
    wait_until_begun(gate)
    assert descendants(process.pid) == []
    up.wait_for("^run gate .* running$")
    open_gate(gate)
    assert end_of(process).splitlines()[-1] == "wait: through"
    assert process.returncode == 0


def test_when_the_server_leaves_it_goes_on_by_itself(gate, start):
    up = gate.up(GATE=str(gate.folder))
    up.wait_for("^ready")
    process = start("run", "gate")
    wait_until_begun(gate)
    up.kill_everything()
    wait_until_begun(gate)  # the second attempt, by the engine of `orch run`
    open_gate(gate)
    out = end_of(process)
    assert process.returncode == 0, out
    assert "`orch up` has ended; this command goes on" in out
    assert out.splitlines()[-1] == "wait: through"


def test_two_runs_at_once_each_bring_their_own_engine(gate, start):
    gate.dag("pair", PAIR)
    waiting = start("run", "gate")
    wait_until_begun(gate)
    assert gate.orch("run", "pair").returncode == 0
    open_gate(gate)
    assert end_of(waiting).splitlines()[-1] == "wait: through"
    assert waiting.returncode == 0


def test_ctrl_c_stops_and_the_next_server_ends_the_run(gate, start):
    process = start("run", "gate")
    wait_until_begun(gate)
    process.send_signal(signal.SIGINT)
    out = end_of(process)
    assert process.returncode == 130
    assert "stopping; running tasks get at most 3 s to end (again: at once)" in out.splitlines()
    run = only_run(gate, "gate")
    assert out.splitlines()[-1] == f"stopped; run {run['run_id']} of gate goes on with the next `orch up`"
    assert run["state"] == "running"
    up = gate.up(GATE=str(gate.folder))
    wait_until_begun(gate)
    open_gate(gate)
    up.wait_for(f"^run gate {re.escape(run['run_id'])} success")
    (task,) = gate.json("status", "gate")["tasks"]
    assert (task["state"], task["try_number"]) == ("success", 1)


def test_ctrl_c_in_a_joined_run_leaves_it_to_the_server(gate, start):
    up = gate.up(GATE=str(gate.folder))
    up.wait_for("^ready")
    process = start("run", "gate")
    wait_until_begun(gate)
    process.send_signal(signal.SIGINT)
    assert "goes on in `orch up`" in end_of(process)
    assert process.returncode == 130
    open_gate(gate)
    up.wait_for("^run gate .* success")


@pytest.mark.parametrize("role", ["scheduler", "worker"])
def test_a_killed_component_of_its_engine_is_told_and_started_again(gate, role, start):
    process = start("run", "gate")
    wait_until_begun(gate)
    os.kill(_component(gate, role), signal.SIGKILL)
    if role == "worker":
        wait_until_begun(gate)
    open_gate(gate)
    out = end_of(process)
    assert process.returncode == 0, out
    assert f"{role} ended: signal 9 (SIGKILL); it is started again" in out


def _component(site: Site, role: str) -> int:
    (lock,) = (site.home / "run").glob(f"{role}-*.lock")
    return int(lock.read_text())


def test_a_reader_that_leaves_ends_the_command_but_not_the_run(gate, start):
    process = start("run", "gate")
    wait_until_begun(gate)
    assert process.stdout is not None
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) in {130, 141}
    assert only_run(gate, "gate")["state"] == "running"


def test_a_run_on_a_terminal_is_drawn_and_ends_with_its_result(site):
    site.dag("pair", PAIR)
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(site.folder)
        environment = {**site.environment(), "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
        os.execve(ORCH, [ORCH, "run", "pair"], environment)
    shown = b""
    until = time.monotonic() + 60
    while time.monotonic() < until and select.select([fd], [], [], 10)[0]:
        try:
            shown += os.read(fd, 65536)
        except OSError:  # how a terminal ends
            break
    os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert "2/2 done: 2 success" in shown.decode()
    assert "✓" in shown.decode()
    assert b'second: {"answer": 21}' in shown


def test_a_home_that_is_a_file_is_an_error_in_words(site):
    site.dag("pair", PAIR)
    site.home.write_text("a file where the home should be")
    done = site.orch("run", "pair")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    site.home.unlink()


def test_json_of_a_finished_run_has_times_of_user_code(site):
    site.dag("pair", PAIR)
    site.orch("run", "pair")
    first, second = site.json("status", "pair")["tasks"]
    assert first["started_at"] <= first["ended_at"] <= second["started_at"] <= second["ended_at"]
    assert json.dumps(first["map_index"]) == "-1"
