"""A worker that is told to stop: what has begun may end, what cannot wait is handed back, nothing is left."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.worker_harness import Harness, all_ended, open_pidfds

pytestmark = pytest.mark.e2e

TASKS = """
@task
def waits():
    wait_for_ever()

@task
def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wait_for_ever()

@task
def short():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    tell(os.getpid())
    signal.sigwait([signal.SIGUSR1])
    return "done"

waits(), deaf(), short()
"""


class Start:
    """Starts workers that end with the test."""

    def __init__(self, folder: Path, isolation: str) -> None:
        self.folder = folder
        self.isolation = isolation
        self.started: list[Harness] = []

    def __call__(self, body: str = TASKS, **options: Any) -> Harness:
        worker = Harness(self.folder, isolation=self.isolation, **options)
        self.started.append(worker)
        worker.write_dag(body)
        return worker


@pytest.fixture(params=["reuse", "fork"])
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    start = Start(tmp_path, request.param)
    yield start
    for worker in start.started:
        worker.close()


def test_an_idle_worker_releases_its_name_and_ends_at_once(start: Start) -> None:
    worker = start()
    worker.run("waits", timeout=0.1)
    worker.process.terminate()
    worker.wait_for("release", incarnation="worker-test")
    assert worker.end() == (0, "")


def test_a_short_task_ends_while_the_worker_drains(start: Start) -> None:
    worker = start()
    worker.queue("short")
    task = int(worker.next_signal())
    worker.process.terminate()
    worker.queue("short")
    os.kill(task, signal.SIGUSR1)
    assert worker.wait_for("report", task="short")["kind"] == "success"
    worker.wait_for("release")
    assert worker.end()[0] == 0
    assert worker.events("hand_back") == []
    assert len(worker.events("claim")) == 1


@pytest.mark.parametrize("task_id", ["waits", "deaf"])
def test_a_long_task_is_ended_after_the_drain_and_handed_back(start: Start, task_id: str) -> None:
    worker = start(drain_seconds=0.1, kill_grace_seconds=0.2)
    worker.queue(task_id)
    watched = open_pidfds([int(worker.next_signal())])
    worker.process.terminate()
    assert worker.wait_for("hand_back")["tasks"] == [task_id]
    worker.wait_for("release")
    assert worker.end()[0] == 0
    assert worker.events("report") == []
    assert all_ended(watched, 0.0)
    assert worker.log_end({"log": f"flow/manual__1/{task_id}.try-1.epoch-1.jsonl"}) == "interrupted"


def test_a_second_signal_ends_the_drain(start: Start) -> None:
    worker = start(drain_seconds=600, kill_grace_seconds=0.2)
    worker.queue("deaf", "waits")
    watched = open_pidfds([int(worker.next_signal()), int(worker.next_signal())])
    worker.process.terminate()
    worker.process.send_signal(signal.SIGINT)  # two equal signals at once would count as one
    handed_back = worker.wait_for("hand_back")["tasks"]
    if len(handed_back) == 1:
        handed_back += worker.wait_for("hand_back")["tasks"]
    assert sorted(handed_back) == ["deaf", "waits"]
    assert worker.end()[0] == 0
    assert all_ended(watched, 0.0)


def test_an_attempt_that_waits_for_an_import_is_handed_back_at_once(start: Start) -> None:
    worker = start("tell('importing')\nimport threading\nthreading.Event().wait()", drain_seconds=600)
    worker.queue("any")
    assert worker.next_signal() == "importing"
    worker.process.terminate()
    assert worker.wait_for("hand_back")["tasks"] == ["any"]
    assert worker.end()[0] == 0


def test_what_a_drained_task_did_before_it_was_told_to_end_counts(start: Start) -> None:
    body = """
    @task
    def closing():
        signal.signal(signal.SIGTERM, lambda *_: None)
        tell(os.getpid())
        signal.pause()
        return "closed in time"
    closing()
    """
    worker = start(body, drain_seconds=0.1, kill_grace_seconds=10)
    worker.queue("closing")
    worker.next_signal()
    worker.process.terminate()
    assert worker.wait_for("report", task="closing")["kind"] == "success"
    assert worker.end()[0] == 0


def test_a_stop_while_the_store_is_away_waits_for_the_reports(start: Start) -> None:
    worker = start()
    worker.queue("short")
    task = int(worker.next_signal())
    worker.order(errors=["report"] * 3)
    os.kill(task, signal.SIGUSR1)
    worker.wait_for("failed", what="report")
    worker.process.terminate()
    assert worker.wait_for("report", task="short")["kind"] == "success"
    assert worker.end()[0] == 0
