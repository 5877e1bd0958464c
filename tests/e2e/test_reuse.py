"""A task process that is reused: who shares it, when it is replaced, and that each attempt is only ever its own."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.worker_harness import Harness, all_ended, children_of, open_pidfds

from orch.worker.crew import DEAF_SECONDS

pytestmark = pytest.mark.e2e

TASKS = """
import ctypes, subprocess, _thread

KEPT = []

@task
def who():
    return os.getpid()

@task
def waits():
    wait_for_ever()

@task
def skips():
    raise Skip(str(os.getpid()))

@task
def fails():
    raise ValueError("no")

@task
def keeps_a_thread():
    threading.Thread(target=threading.Event().wait).start()
    return os.getpid()

@task
def keeps_a_daemon_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return os.getpid()

@task
def keeps_a_raw_thread():
    _thread.start_new_thread(threading.Event().wait, ())
    return os.getpid()

@task
def keeps_a_child():
    tell(subprocess.Popen(["sleep", "1000"]).pid)
    return os.getpid()

@task
def keeps_an_orphan():
    tell(double_fork())
    return os.getpid()

@task
def keeps_a_file():
    KEPT.append(open("/dev/null"))
    return os.getpid()

@task
def swaps_a_file():
    os.dup2(os.open("/dev/zero", os.O_RDONLY | os.O_CLOEXEC), 0)
    return os.getpid()

@task
def grows():
    KEPT.append(b"x" * 50_000_000)
    return os.getpid()

@task
def changes_its_user():
    os.seteuid(65534)
    return os.getpid()

who(), waits(), skips(), fails(), keeps_a_thread(), keeps_a_daemon_thread(), keeps_a_raw_thread()
keeps_a_child(), keeps_an_orphan(), keeps_a_file(), swaps_a_file(), grows(), changes_its_user()
"""


class Start:
    """Starts workers that end with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Harness] = []

    def __call__(self, body: str = TASKS, **options: Any) -> Harness:
        worker = Harness(self.folder, **options)
        self.started.append(worker)
        worker.write_dag(body)
        return worker


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    start = Start(tmp_path)
    yield start
    for worker in start.started:
        worker.close()


@pytest.fixture
def worker(start: Start) -> Harness:
    return start(task_process_growth_mb=20)


def value(report: dict[str, Any]) -> Any:
    """Return what a task has returned."""
    assert report["kind"] == "success", report["error"]
    return json.loads(report["xcoms"][0][1])


def pid_of(worker: Harness, task_id: str = "who", **more: Any) -> int:
    """Run a task that returns the id of its process."""
    return int(value(worker.run(task_id, **more)))


def warm_up(worker: Harness, runs: int = 40) -> None:
    """Run short tasks until the worker claims ahead."""
    worker.queue(*["who"] * runs)
    for _ in range(runs):
        worker.wait_for("report", task="who")


def test_tasks_share_a_process_one_after_the_other(worker: Harness) -> None:
    assert len({pid_of(worker) for _ in range(5)}) == 1


def test_a_process_is_replaced_after_so_many_tasks(start: Start) -> None:
    worker = start(tasks_per_process=3)
    pids = [pid_of(worker) for _ in range(7)]
    assert [len(set(pids[:3])), len(set(pids[3:6])), len(set(pids))] == [1, 1, 3]


def test_a_skipped_task_leaves_its_process_to_others(worker: Harness) -> None:
    pid = pid_of(worker)
    assert worker.run("skips")["error"] == str(pid)
    assert pid_of(worker) == pid


def test_a_task_that_asks_for_it_has_a_fresh_process_to_itself(worker: Harness) -> None:
    shared = pid_of(worker)
    own = [pid_of(worker, isolation="fork") for _ in range(3)]
    assert len({shared, *own}) == 4
    assert pid_of(worker) == shared


@pytest.mark.parametrize(
    ("task_id", "more"),
    [("fails", {}), ("waits", {"timeout": 0.1})],
    ids=["failure", "timeout"],
)
def test_a_process_is_replaced_when_a_task_does_not_succeed(
    worker: Harness, task_id: str, more: dict[str, Any]
) -> None:
    pid = pid_of(worker)
    watched = open_pidfds([pid])
    assert worker.run(task_id, **more)["kind"] == "failed"
    assert all_ended(watched, 5.0)
    assert pid_of(worker) != pid


@pytest.mark.parametrize(
    "task_id",
    [
        "keeps_a_thread",
        "keeps_a_daemon_thread",
        "keeps_a_raw_thread",
        "keeps_a_child",
        "keeps_an_orphan",
        "keeps_a_file",
        "swaps_a_file",
        pytest.param("changes_its_user", marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root")),
    ],
)
def test_a_process_in_which_something_was_left_is_replaced(worker: Harness, task_id: str) -> None:
    pid = pid_of(worker)
    watched = open_pidfds([pid])
    assert pid_of(worker, task_id) == pid
    assert all_ended(watched, 5.0)
    assert pid_of(worker) != pid


def test_a_process_that_has_grown_is_replaced(worker: Harness) -> None:
    pid = pid_of(worker)
    assert pid_of(worker, "grows") == pid
    assert pid_of(worker) != pid


@pytest.mark.parametrize("task_id", ["keeps_a_child", "keeps_an_orphan"])
def test_children_that_a_task_leaves_are_killed(worker: Harness, task_id: str) -> None:
    worker.queue(task_id)
    watched = open_pidfds([int(worker.next_signal())])
    assert worker.wait_for("report", task=task_id)["kind"] == "success"
    assert all_ended(watched, 5.0)


def test_a_killed_process_concerns_the_task_it_runs_and_no_other(start: Start) -> None:
    worker = start(parallelism=1)
    warm_up(worker)
    worker.queue("who", "who", "waits", "who", "who")
    os.kill(int(worker.next_signal()), signal.SIGKILL)
    assert worker.wait_for("report", task="waits")["error"] == "killed by signal 9 (SIGKILL)"
    assert [worker.wait_for("report", task="who")["kind"] for _ in range(4)] == ["success"] * 4


def test_a_process_that_died_between_two_tasks_concerns_none(worker: Harness) -> None:
    pid = pid_of(worker)
    watched = open_pidfds([pid])
    os.kill(pid, signal.SIGKILL)
    assert all_ended(watched, 5.0)
    assert pid_of(worker) != pid


def test_a_process_that_hangs_between_two_tasks_is_replaced(worker: Harness) -> None:
    pid = pid_of(worker)
    os.kill(pid, signal.SIGSTOP)
    watched = open_pidfds([pid])
    assert pid_of(worker) != pid
    assert all_ended(watched, 5.0)


def test_timeouts_and_on_kill_are_those_of_the_running_task(start: Start) -> None:
    worker = start(
        """
        from orch import BaseOperator

        class Waits(BaseOperator):
            def execute(self, context):
                wait_for_ever()
            def on_kill(self):
                tell("killed", self.task_id)

        @task
        def who():
            return os.getpid()

        who(), Waits(task_id="first"), Waits(task_id="second")
        """
    )
    assert pid_of(worker, timeout=30) == pid_of(worker)
    worker.queue("first", timeout=0.2)
    worker.next_signal()
    assert worker.next_signal() == "killed first"
    assert worker.wait_for("report", task="first")["reason"] == "execution_timeout"
    pid_of(worker)
    worker.queue("second")
    worker.next_signal()
    (ti_id,) = [worker._numbers]
    worker.order(revoke=[ti_id])
    assert worker.next_signal() == "killed second"
    assert pid_of(worker) > 0


def test_questions_of_a_later_task_are_answered(start: Start) -> None:
    worker = start("@task\ndef asks(ti):\n    return ti.xcom_pull(task_ids='asks', key='known')\nasks()")
    worker.order(xcoms={"asks.known": "7"})
    assert [value(worker.run("asks")) for _ in range(3)] == [7, 7, 7]


def test_each_log_is_whole_and_has_the_output_of_its_task_only(start: Start) -> None:
    worker = start(
        """
        import ctypes, gc

        class Late:
            def __init__(self, text):
                self.me, self.text = self, text
            def __del__(self):
                print("collected", self.text)

        @task
        def prints(run_id, ti):
            number = ti.fence.nonce
            Late(number)
            ctypes.CDLL(None).printf(b"from C %s\\n", number.encode())
            print("a line", number, file=sys.stderr)
            sys.stdout.write("no end " + number)
            return os.getpid()
        [prints.override(task_id=f"p{number}")() for number in range(30)]
        """,
        parallelism=1,
        environ={"PYTHONUNBUFFERED": ""},  # with it C code has no buffers either
    )
    names = [f"p{number}" for number in range(30)]
    worker.queue(*names)
    reports = [worker.wait_for("report", task=name) for name in names]
    nonces = set()
    for report in reports:
        texts = [line.text for line in worker.log(report)]
        (nonce,) = {text.split()[-1][-32:] for text in texts if "collected" not in text}
        assert sorted(texts) == sorted(
            [f"from C {nonce}", f"a line {nonce}", f"no end {nonce}collected {nonce}"]
        )
        assert worker.log_end(report) == "success"
        nonces.add(nonce)
    assert len(nonces) == 30
    assert len({value(report) for report in reports}) == 1


def test_nothing_of_a_task_is_found_in_the_next_one(start: Start) -> None:
    worker = start(
        """
        import gc

        @task
        def first():
            pass

        @task
        def knows(text, ti):
            ti.xcom_push("other", "SECRET-2")
            return "SECRET-3" + ti.xcom_pull(task_ids="first", key="asked")
        knows(first())

        @task
        def looks():
            found = []
            mine = "".join(["SEC", "RET-"])
            for item in gc.get_objects():
                for value in gc.get_referents(item):
                    text = str(value) if isinstance(value, (str, bytes, bytearray)) else ""
                    if mine in text and "looks" not in text:
                        found.append(text[:80])
            return [os.getpid(), found]
        looks()
        """
    )
    worker.order(xcoms={"first.asked": '"SECRET-4"'})
    before = value(worker.run("looks"))
    worker.run("knows", inputs=[("first", "return_value", -1, '"SECRET-1"')])
    assert value(worker.run("looks")) == [before[0], before[1]]


FORGES = """
from orch.runner.host_wire import Frame
FIRST = []

@task
def quick(ti):
    FIRST.append(ti.fence.nonce)
    return os.getpid()

@task
def forges():
    body = '{"kind":"success","started_at":"2024-01-01T00:00:00+00:00","ended_at":"2024-01-01T00:00:00+00:00"}'
    for fd in range(3, 64):
        try:
            if os.readlink(f"/proc/self/fd/{fd}").startswith("socket"):
                os.write(fd, Frame({"op": "outcome", "nonce": FIRST[0]}, body).encode())
        except OSError:
            pass
    wait_for_ever()

quick(), forges()
"""


def test_an_outcome_of_a_former_attempt_is_not_taken_for_that_of_the_next(start: Start) -> None:
    worker = start(FORGES)
    pid_of(worker, "quick")
    report = worker.run("forges")
    assert (report["kind"], report["reason"]) == ("failed", "killed")
    assert "a frame about another attempt" in report["error"]
    assert worker.events("report") == []


def test_what_lies_behind_a_long_task_is_run_by_others(start: Start) -> None:
    worker = start(parallelism=2)
    warm_up(worker)
    worker.queue("waits", *["who"] * 12)
    task = int(worker.next_signal())
    reports = [worker.wait_for("report", task="who") for _ in range(12)]
    assert {report["kind"] for report in reports} == {"success"}
    starts = [report["started_at"] for report in reports]
    assert max(starts) - min(starts) < DEAF_SECONDS
    os.kill(task, signal.SIGKILL)
    worker.wait_for("report", task="waits")


def test_what_was_claimed_ahead_and_finds_no_process_is_handed_back(start: Start) -> None:
    worker = start(parallelism=1)
    warm_up(worker)
    worker.queue("waits", "who", "who")
    task = int(worker.next_signal())
    returned = worker.wait_for("hand_back")["tasks"]
    if len(returned) == 1:
        returned += worker.wait_for("hand_back")["tasks"]
    assert returned == ["who", "who"]
    os.kill(task, signal.SIGKILL)
    worker.wait_for("report", task="waits")


def test_a_drain_hands_back_what_has_not_begun_and_lets_the_rest_end(start: Start) -> None:
    body = """
    @task
    def who():
        return os.getpid()
    @task
    def waits():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        tell(os.getpid())
        signal.sigwait([signal.SIGUSR1])
        return 1
    who(), waits()
    """
    worker = start(body, parallelism=1, drain_seconds=600)
    warm_up(worker)
    worker.queue("waits", "who", "who")
    task = int(worker.next_signal())
    worker.process.terminate()
    returned = worker.wait_for("hand_back")["tasks"]
    if len(returned) == 1:
        returned += worker.wait_for("hand_back")["tasks"]
    assert returned == ["who", "who"]
    os.kill(task, signal.SIGUSR1)
    assert worker.wait_for("report", task="waits")["kind"] == "success"
    assert worker.end()[0] == 0


def test_what_lies_on_the_trays_of_a_killed_host_has_not_begun(start: Start) -> None:
    worker = start(parallelism=1)
    warm_up(worker)
    worker.queue("waits", "who", "who")
    worker.next_signal()
    (host,) = worker.children()
    os.kill(host, signal.SIGKILL)
    assert worker.wait_for("lost", tasks=["waits"])
    assert worker.wait_for("hand_back")["tasks"] == ["who", "who"]
    assert pid_of(worker) > 0


def test_a_revoked_attempt_that_has_not_begun_does_not_disturb_the_running_one(start: Start) -> None:
    body = """
    @task
    def who():
        return os.getpid()
    @task
    def waits():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        tell(os.getpid())
        signal.sigwait([signal.SIGUSR1])
        return os.getpid()
    who(), waits()
    """
    worker = start(body, parallelism=1)
    warm_up(worker)
    tasks = worker.tasks("waits", "who")
    worker.order(queue=tasks)
    pid = int(worker.next_signal())
    worker.order(revoke=[tasks[1]["ti_id"]])
    os.kill(pid, signal.SIGUSR1)
    assert value(worker.wait_for("report", task="waits")) == pid
    assert pid_of(worker) > 0


def test_idle_processes_are_few(worker: Harness) -> None:
    warm_up(worker, 60)
    (host,) = worker.children()
    assert len(children_of(host)) <= 5


def test_a_task_is_not_told_what_another_changed_in_its_module(worker: Harness) -> None:
    """The one thing that is not reset, and that `fork` is for."""
    pid = pid_of(worker, "grows")
    assert pid_of(worker, isolation="fork") != pid
