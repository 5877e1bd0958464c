"""Tasks, hosts and workers that die, hang or break out: what is reported, and that nothing is left behind."""

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.worker_harness import Harness, all_ended, children_of, is_alive, open_pidfds

pytestmark = pytest.mark.e2e

WAITS = "@task\ndef waits():\n    wait_for_ever()\nwaits()"
DEAF = """
@task
def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wait_for_ever()
deaf()
"""
DAEMON = """
@task
def daemon():
    tell(double_fork())
    return os.getpid()

@task
def daemon_and_wait():
    tell(double_fork())
    wait_for_ever()

@task
def quick():
    return os.getpid()

daemon(), daemon_and_wait(), quick()
"""


def wait_until_reaped(pid: int, parent: int) -> None:
    """Wait until the parent has reaped the process, and sleeps again after having told so."""
    while Path(f"/proc/{pid}").exists() or Path(f"/proc/{parent}/stat").read_text().split()[2] != "S":
        select.select([], [], [], 0.005)


@pytest.fixture(params=["reuse", "fork"])
def worker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Harness]:
    harness = Harness(tmp_path, isolation=request.param)
    yield harness
    harness.close()


def test_a_killed_task_fails_at_once_with_its_signal(worker: Harness) -> None:
    worker.write_dag(WAITS)
    worker.queue("waits")
    os.kill(int(worker.next_signal()), signal.SIGKILL)
    report = worker.wait_for("report", task="waits")
    assert (report["kind"], report["retryable"], report["reason"]) == ("failed", True, "killed")
    assert (report["error"], report["exit"]) == ("killed by signal 9 (SIGKILL)", "signal 9 (SIGKILL)")
    assert worker.log_text(report, "orch") == "killed by signal 9 (SIGKILL)"


def test_an_exit_without_a_result_is_a_failure(worker: Harness) -> None:
    worker.write_dag("@task\ndef leaves():\n    print('bye', flush=True)\n    os._exit(0)\nleaves()")
    report = worker.run("leaves")
    assert (report["kind"], report["error"]) == ("failed", "exited with code 0 without a result")
    assert (report["exit"], worker.log_text(report, "stdout")) == ("exit code 0", "bye")


def test_an_exit_from_a_thread_is_a_failure(worker: Harness) -> None:
    worker.write_dag(
        """
        @task
        def leaves():
            threading.Thread(target=os._exit, args=[0]).start()
            while True:
                signal.pause()
        leaves()
        """
    )
    assert worker.run("leaves")["error"] == "exited with code 0 without a result"


def test_a_segfault_leaves_its_trace_in_the_log(worker: Harness) -> None:
    worker.write_dag("@task\ndef crashes():\n    os.kill(os.getpid(), signal.SIGSEGV)\ncrashes()")
    report = worker.run("crashes")
    assert report["exit"] == "signal 11 (SIGSEGV)"
    assert "Fatal Python error: Segmentation fault" in worker.log_text(report, "stderr")


def test_a_task_that_closes_every_descriptor_fails(worker: Harness) -> None:
    worker.write_dag("@task\ndef closes():\n    os.closerange(0, 1024)\ncloses()")
    assert worker.run("closes")["error"] == "exited with code 70 without a result"


def test_a_task_that_puts_a_file_in_the_place_of_its_channel_fails(worker: Harness, tmp_path: Path) -> None:
    other = tmp_path / "other"
    worker.write_dag(
        f"""
        @task
        def swaps():
            os.closerange(3, 1024)
            files = [open({str(other)!r}, "ab") for _ in range(20)]
            return "secret"
        swaps()
        """
    )
    assert worker.run("swaps")["error"] == "exited with code 70 without a result"
    assert other.read_bytes() == b""


def test_a_fork_that_returns_from_user_code_reports_nothing(worker: Harness) -> None:
    worker.write_dag(
        """
        @task
        def forks():
            child = os.fork()
            if child:
                os.waitpid(child, 0)
            return "parent" if child else "child"
        forks()
        """
    )
    assert worker.run("forks")["xcoms"] == [["return_value", '"parent"']]
    assert worker.events("report") == []


def test_nonsense_on_the_channel_fails_the_task(worker: Harness) -> None:
    worker.write_dag(
        """
        @task
        def writes():
            for fd in range(3, 64):
                try:
                    if os.readlink(f"/proc/self/fd/{fd}").startswith("socket"):
                        os.write(fd, b"\\xff" * 64)
                except OSError:
                    pass
            wait_for_ever()
        writes()
        """
    )
    report = worker.run("writes")
    assert (report["kind"], report["exit"]) == ("failed", "signal 9 (SIGKILL)")
    assert "broke the protocol" in report["error"]


SENDS = """
from orch.runner.host_wire import Frame

def send(ti, head, text=""):
    head["nonce"] = ti.fence.nonce
    for fd in range(3, 64):
        try:
            if os.readlink(f"/proc/self/fd/{{fd}}").startswith("socket"):
                os.write(fd, Frame(head, text).encode())
        except OSError:
            pass
    wait_for_ever()

@task
def sends(ti):
    send(ti, {frame})

@task
def quick():
    return 1

sends(), quick()
"""
GOOD = '"kind":"success","started_at":"2024-01-01T00:00:00+00:00","ended_at":"2024-01-01T00:00:00+00:00"'


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (
            ({"op": "outcome"}, f'{{{GOOD},"xcoms":[["k",["not","text"]]]}}'),
            "the XCom 'k' is ['not', 'text']",
        ),
        (({"op": "outcome"}, f'{{{GOOD},"xcoms":[["k","\\ud800"]]}}'), "no JSON text"),
        (({"op": "outcome"}, "{" + GOOD.replace("+00:00", "") + "}"), "started_at is '2024-01-01T00:00:00'"),
        (({"op": "outcome"}, '{"format":99}'), "newer release"),
        (({"op": "xcom_get", "id": 1, "task_id": "quick", "key": "k", "map_index": "x"},), "not a question"),
        (
            ({"op": "xcom_get", "id": 1, "task_id": "quick", "key": "k", "map_index": 10**30},),
            "not a question",
        ),
    ],
)
def test_an_odd_frame_fails_its_task_and_no_other(
    worker: Harness, frame: tuple[Any, ...], error: str
) -> None:
    worker.write_dag(SENDS.format(frame=", ".join(map(repr, frame))))
    report = worker.run("sends")
    assert (report["kind"], report["reason"], report["answer"]) == ("failed", "killed", "accepted")
    assert report["error"].startswith("its task process broke the protocol: ")
    assert error in report["error"]
    assert worker.run("quick")["kind"] == "success"


def test_tasks_of_a_killed_host_are_handed_back_as_lost_and_the_next_get_a_new_one(worker: Harness) -> None:
    worker.write_dag(WAITS + "\n@task\ndef quick():\n    return 1\nquick()")
    worker.queue("waits")
    task = int(worker.next_signal())
    (host,) = worker.children()
    watched = open_pidfds([task])
    os.kill(host, signal.SIGKILL)
    assert worker.wait_for("lost", tasks=["waits"])
    assert all_ended(watched, 1.0)
    log = {"log": "flow/manual__1/waits.try-1.epoch-1.jsonl"}
    assert worker.log_text(log) == "killed by the end of its host (signal 9 (SIGKILL))"
    assert worker.log_end(log) == "lost"
    assert worker.events("report") == []
    assert worker.run("quick")["kind"] == "success"


def test_a_task_that_died_before_its_host_has_failed_itself(worker: Harness) -> None:
    worker.write_dag(WAITS + "\n@task\ndef other():\n    wait_for_ever()\nother()")
    worker.queue("waits")
    task = int(worker.next_signal())
    worker.queue("other")
    worker.next_signal()
    (host,) = worker.children()
    worker.process.send_signal(signal.SIGSTOP)
    os.kill(task, signal.SIGKILL)
    wait_until_reaped(task, host)
    os.kill(host, signal.SIGKILL)
    worker.process.send_signal(signal.SIGCONT)
    assert worker.wait_for("report", task="waits")["error"] == "killed by signal 9 (SIGKILL)"
    assert worker.wait_for("lost", tasks=["other"])


def test_attempts_that_wait_for_a_killed_host_are_lost(worker: Harness) -> None:
    worker.write_dag("wait_for_ever()")
    worker.queue("any")
    os.kill(int(worker.next_signal()), signal.SIGKILL)
    assert worker.wait_for("lost", tasks=["any"])
    assert worker.events("report") == []


def test_a_daemon_of_a_task_dies_with_the_host(worker: Harness) -> None:
    worker.write_dag(DAEMON)
    worker.queue("daemon_and_wait")
    watched = open_pidfds([int(worker.next_signal()), int(worker.next_signal())])
    (host,) = worker.children()
    os.kill(host, signal.SIGKILL)
    assert worker.wait_for("lost", tasks=["daemon_and_wait"])
    assert all_ended(watched, 1.0)


def test_everything_dies_with_a_killed_worker(worker: Harness) -> None:
    worker.write_dag(DAEMON + WAITS)
    worker.queue("daemon_and_wait", "waits")
    pids = {int(worker.next_signal()) for _ in range(3)}
    (host,) = worker.children()
    watched = open_pidfds([host, *children_of(host), *pids])
    worker.process.kill()
    assert all_ended(watched, 1.0)


def test_everything_dies_with_worker_and_host_killed_together(worker: Harness) -> None:
    worker.write_dag(WAITS)
    worker.queue("waits")
    task = int(worker.next_signal())
    (host,) = worker.children()
    watched = open_pidfds([host, task])
    os.kill(worker.process.pid, signal.SIGSTOP)
    os.kill(host, signal.SIGKILL)
    os.kill(worker.process.pid, signal.SIGKILL)
    assert all_ended(watched, 1.0)


def test_a_daemon_of_a_task_dies_with_the_attempt(worker: Harness) -> None:
    worker.write_dag(DAEMON)
    worker.queue("daemon")
    watched = open_pidfds([int(worker.next_signal())])
    assert worker.wait_for("report", task="daemon")["kind"] == "success"
    assert all_ended(watched, 1.0)


def test_a_daemon_of_a_killed_task_dies_too(worker: Harness) -> None:
    worker.write_dag(DAEMON)
    worker.queue("daemon_and_wait")
    daemon, task = int(worker.next_signal()), int(worker.next_signal())
    watched = open_pidfds([daemon])
    os.kill(task, signal.SIGKILL)
    assert worker.wait_for("report", task="daemon_and_wait")["exit"] == "signal 9 (SIGKILL)"
    assert all_ended(watched, 1.0)


def test_a_daemon_lives_as_long_as_its_attempt_whatever_else_ends(worker: Harness) -> None:
    worker.write_dag(DAEMON)
    worker.queue("daemon_and_wait")
    daemon, task = int(worker.next_signal()), int(worker.next_signal())
    for _ in range(3):
        assert worker.run("quick")["kind"] == "success"
    assert daemon in children_of(task)
    assert is_alive(daemon)


def test_a_revoked_attempt_is_killed_with_its_group_and_reports_nothing(worker: Harness) -> None:
    worker.write_dag(DEAF + "\n@task\ndef quick():\n    return 1\nquick()")
    worker.queue("deaf")
    task = int(worker.next_signal())
    watched = open_pidfds([task])
    worker.order(revoke=[1])
    assert all_ended(watched, 5.0)
    assert worker.run("quick")["kind"] == "success"
    assert [event["task"] for event in worker.events("report")] == []
    worker.process.terminate()
    assert worker.end()[0] == 0  # then each log is complete
    assert worker.log_end({"log": "flow/manual__1/deaf.try-1.epoch-1.jsonl"}) == "revoked"


def test_a_worker_that_was_declared_dead_kills_its_tasks_and_ends(worker: Harness) -> None:
    worker.write_dag(DAEMON)
    worker.queue("daemon_and_wait")
    pids = [int(worker.next_signal()) for _ in range(2)]
    watched = open_pidfds([*pids, *worker.children()])
    worker.order(known=False)
    code, errors = worker.end()
    assert code == 1
    assert "WorkerLost: The store has declared this worker dead" in errors
    assert all_ended(watched, 0.0)


def test_a_stopped_worker_hears_first_that_its_attempts_are_lost(worker: Harness) -> None:
    worker.write_dag(
        """
        @task
        def waits():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
            tell(os.getpid())
            signal.sigwait([signal.SIGUSR1])
            tell("done")
        waits()
        """
    )
    worker.queue("waits")
    task = int(worker.next_signal())
    worker.process.send_signal(signal.SIGSTOP)
    os.kill(task, signal.SIGUSR1)
    assert worker.next_signal() == "done"
    worker.order(known=False)
    worker.process.send_signal(signal.SIGCONT)
    code, _ = worker.end()
    assert code == 1
    assert worker.events("report") == []


def test_a_host_that_does_not_pass_on_signals_is_killed(worker: Harness) -> None:
    worker.write_dag(WAITS + "\n@task\ndef quick():\n    return 1\nquick()")
    worker.queue("waits")
    task = int(worker.next_signal())
    (host,) = worker.children()
    watched = open_pidfds([task, host])
    os.kill(host, signal.SIGSTOP)
    worker.order(revoke=[1])
    assert all_ended(watched, 5.0)
    assert worker.run("quick")["kind"] == "success"


def test_an_import_that_does_not_end_fails_the_attempt(tmp_path: Path) -> None:
    worker = Harness(tmp_path, import_timeout_seconds=0.5)
    try:
        (worker.dags / "flow.py").write_text("while True:\n    pass\n")
        report = worker.run("any")
        assert report["reason"] == "dag_import_failed"
        assert "took longer than 0.5 s (dagfiles.import_timeout_seconds)" in report["error"]
    finally:
        worker.close()


def test_a_stopped_host_of_a_killed_worker_wakes_up_and_cleans_up(worker: Harness) -> None:
    worker.write_dag(DAEMON)
    worker.queue("daemon_and_wait")
    pids = [int(worker.next_signal()) for _ in range(2)]
    (host,) = worker.children()
    watched = open_pidfds([host, *pids])
    os.kill(host, signal.SIGSTOP)
    worker.process.kill()
    assert all_ended(watched, 1.0)
