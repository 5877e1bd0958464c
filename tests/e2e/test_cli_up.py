"""`orch up`: ready in an empty folder, one per home, restarts what dies, tells what happens, ends cleanly."""

import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.e2e.site import ORCH, Site, Up, clean_environment, descendants

pytestmark = pytest.mark.e2e

CHAIN = """
from orch import DAG, task

with DAG("chain", schedule=None):

    @task
    def first():
        print("hello from first")
        return 20

    @task
    def second(n):
        return n + 1

    second(first())
"""

BROKEN = "import orch\n1 / 0\n"
COMPONENTS = ("dag-processor", "scheduler", "worker")


@pytest.fixture
def up(site: Site) -> Up:
    site.dag("chain", CHAIN)
    up = site.up()
    up.wait_for("^ready")
    return up


def test_it_is_ready_in_an_empty_folder_and_makes_what_it_needs(site):
    site.dags.rmdir()
    process = subprocess.Popen(
        [ORCH, "up"],
        cwd=site.folder,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    up = Up(process)
    site.ups.append(up)
    assert "dags: put DAG files there" in up.wait_for("made ")
    up.wait_for("^ready: 0 DAGs, 0 runs in progress")
    assert (site.folder / ".orch" / "orch.db").exists()
    assert oct((site.folder / ".orch" / "run").stat().st_mode)[-3:] == "700"
    assert up.stop() == 0


def test_a_named_dags_folder_must_be_there(site):
    site.dags.rmdir()
    done = site.orch("up")
    assert done.returncode == 2
    assert f"dags folder '{site.dags}' does not exist" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(site, up, number):
    pids = descendants(up.process.pid)
    assert len(pids) >= len(COMPONENTS)
    assert up.stop(number) == 0
    for component in COMPONENTS:
        up.wait_for(f"^{component} ended: exit code 0", seconds=1)
    assert "stopping; running tasks get at most 5 s to end (again: at once)" in up.lines
    assert up.lines[-1] == "stopped"
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not [path for path in (site.home / "run").iterdir() if path.suffix == ".sock"]


def test_a_second_one_on_the_same_home_is_refused_by_name(site, up):
    done = site.orch("up")
    assert done.returncode == 2
    assert done.stderr == f"error: orch up already runs for this home (pid {up.process.pid}): {site.home}\n"
    assert site.orch("trigger", "chain", "--wait").returncode == 0


def test_after_it_was_killed_the_next_one_starts_at_once(site, up):
    up.kill_everything()
    site.up().wait_for("^ready")


def test_it_tells_of_runs_and_of_broken_files(site, up):
    run_id = site.orch("trigger", "chain", "--wait").stdout.strip()
    up.wait_for(rf"^run chain {re.escape(run_id)} running$")
    up.wait_for(rf"^run chain {re.escape(run_id)} success in \d")
    site.dag("broken", BROKEN)
    up.wait_for(r"^broken\.py:2 cannot be imported: ZeroDivisionError")
    (site.dags / "broken.py").unlink()
    up.wait_for(r"^broken\.py can be imported again, or is gone")


def test_a_new_file_is_registered_while_it_runs(site, up):
    site.dag("later", CHAIN.replace('"chain"', '"later"'))
    done = site.orch("trigger", "later", "--wait")
    assert done.returncode == 0, done.stderr
    assert site.json("status", "later")["state"] == "success"


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_killed_component_is_started_again_and_work_goes_on(site, up, component):
    pid = up.pid_of(component)
    os.kill(pid, signal.SIGKILL)
    up.wait_for(rf"^{component} \(pid {pid}\) ended: signal 9 \(SIGKILL\); it is started again")
    up.wait_for(rf"^{component} started \(pid (?!{pid}\))")
    assert site.orch("trigger", "chain", "--wait").returncode == 0


def test_the_parent_has_one_thread_and_no_database(site, up):
    process = Path(f"/proc/{up.process.pid}")
    assert len(list((process / "task").iterdir())) == 1
    assert not [link for link in (process / "fd").iterdir() if "orch.db" in str(link.readlink())]


def test_components_end_when_their_parent_is_killed(site, up):
    ends = [os.pidfd_open(pid) for pid in descendants(up.process.pid)]
    up.process.kill()
    for end in ends:
        assert select.select([end], [], [], 10)[0], "a component has outlived its parent"
        os.close(end)


def test_a_reader_that_leaves_does_not_end_it(site):
    site.dag("chain", CHAIN)
    up = site.up()
    up.wait_for("^ready")
    up.process.stdout.close()
    assert site.orch("trigger", "chain", "--wait").returncode == 0
    assert up.process.poll() is None
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(30) in {0, 141}


def test_an_unknown_executor_is_refused_with_the_nearest_name(site):
    done = site.orch("up", ORCH_CORE_EXECUTOR="LocalExecutr")
    assert done.returncode == 2
    assert "did you mean 'LocalExecutor'" in done.stderr


def test_a_required_plugin_that_is_missing_is_refused_by_name(site):
    done = site.orch("up", ORCH_PLUGINS_REQUIRED="nope")
    assert done.returncode == 2
    assert "'nope'" in done.stderr


def test_on_a_terminal_it_draws_and_leaves_on_ctrl_c(site):
    site.dag("chain", CHAIN)
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(site.folder)
        os.execve(
            ORCH, [ORCH, "up"], {**site.environment(), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
        )
    try:
        shown = _read_until(fd, b"1 DAG, 0 runs in progress")
        assert site.orch("trigger", "chain", "--wait").returncode == 0
        shown = _read_until(fd, b"success")
        os.write(fd, b"\x03")
        shown = _read_until(fd, b"stopped")
        assert b"Traceback" not in shown
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
    finally:
        os.close(fd)


def _read_until(fd: int, text: bytes, seconds: float = 60.0) -> bytes:
    until = time.monotonic() + seconds
    seen = b""
    while text not in seen:
        left = until - time.monotonic()
        assert left > 0, seen[-2000:]
        if select.select([fd], [], [], left)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:  # how a terminal ends
                break
    assert text in seen, seen[-2000:]
    return seen
