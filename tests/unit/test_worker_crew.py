"""The crew of a host: which task process gets which attempt, without any process being made."""

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from orch.clock import monotonic
from orch.runner.host_wire import Frame, Wire
from orch.runner.tray import TrayReader
from orch.worker.crew import AHEAD_SECONDS, IDLE_SECONDS, Crew, Turnover
from orch.worker.reactor import Reactor
from orch.worker.seats import SHORT_SECONDS, Seats
from orch.worker.task_process import TaskProcess


class Attempt:
    """A listener that writes down what it is told."""

    def __init__(self, nonce: str, *, is_reusable: bool = True) -> None:
        self.nonce = nonce
        self.is_reusable = is_reusable
        self.heard: list[str] = []

    def command(self) -> str:
        return "{}"

    def on_begin(self, process: TaskProcess) -> None:
        self.heard.append(f"begins in {process.key}")

    def on_outcome(self, text: str, *, ends: bool) -> bool:
        self.heard.append(f"outcome {text}" + (" ends" if ends else ""))
        return True

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.heard.append(name.removeprefix("on_"))


class Fakes:
    """The child's side of every task process that a crew has asked for."""

    def __init__(self, seats: int, tasks_per_process: int = 100) -> None:
        self.reactor = Reactor()
        self.seats = Seats(seats)
        self.trays: dict[int, TrayReader] = {}
        self.channels: dict[int, Wire] = {}
        self.killed: list[int] = []
        turnover = Turnover(tasks_per_process, 1 << 30)
        self.crew = Crew(self.reactor, self.seats, turnover, ask_for=self.make, kill=self.kill)
        self.crew.is_open = True

    def make(self, task: TaskProcess) -> None:
        channel, tray = task.fds_for_child
        self.channels[task.key] = Wire(socket.socket(fileno=channel))
        self.trays[task.key] = TrayReader(tray)
        task.pid = 1000 + task.key

    def kill(self, task: TaskProcess) -> None:
        self.killed.append(task.key)

    def take(self, key: int) -> tuple[str, bool]:
        """Take a start off a tray, as the task process does."""
        start, *fds = self.trays[key].take()
        for fd in fds:
            os.close(fd)
        return start.nonce, start.keep

    def say(self, key: int, nonce: str, ends: str | None = None) -> None:
        """Say an outcome, and let the worker hear it."""
        self.channels[key].send(Frame({"op": "outcome", "nonce": nonce, "ends": ends}, nonce))
        self.reactor.run_once(1)

    def hurry(self) -> None:
        """Let the tasks of late have been short."""
        for _ in range(100):
            self.seats.pace.note(0.0)

    def add(self, *attempts: Attempt) -> None:
        for attempt in attempts:
            self.crew.add(attempt)

    def close(self) -> None:
        for task in self.crew.close():
            task.ended("exit code 0")
        for tray in self.trays.values():
            tray.close()
        for channel in self.channels.values():
            channel.close()
        self.reactor.close()


@pytest.fixture
def one() -> Iterator[Fakes]:
    fakes = Fakes(seats=1)
    yield fakes
    fakes.close()


@pytest.fixture
def two() -> Iterator[Fakes]:
    fakes = Fakes(seats=2)
    yield fakes
    fakes.close()


def test_no_more_begin_than_there_are_seats(one: Fakes) -> None:
    first, second = Attempt("a"), Attempt("b")
    one.add(first, second)
    assert (first.heard, second.heard, one.seats.taken) == (["begins in 1"], [], 1)
    one.take(1)
    one.say(1, "a")
    one.crew.hand_out()
    assert (second.heard, one.seats.taken) == (["begins in 1"], 1)


def test_attempts_are_laid_out_ahead_while_tasks_are_short(one: Fakes) -> None:
    one.hurry()
    attempts = [Attempt(nonce) for nonce in "abc"]
    one.add(*attempts)
    assert [attempt.heard for attempt in attempts] == [["begins in 1"], [], []]
    for nonce in "ab":
        assert one.take(1) == (nonce, True)
        one.say(1, nonce)
    assert attempts[1].heard == ["begins in 1", "outcome b"]
    assert attempts[2].heard == ["begins in 1"]


def test_what_lies_behind_a_task_that_is_not_short_goes_to_another_process(two: Fakes) -> None:
    two.hurry()
    attempts = [Attempt(nonce) for nonce in "abcd"]
    two.add(*attempts)
    assert two.take(1)[0] == "a"
    assert two.take(2)[0] == "b"
    two.say(2, "b")
    assert two.take(2)[0] == "d"
    two.say(2, "d")
    two.crew.check(monotonic() + SHORT_SECONDS * 2)
    two.crew.hand_out()
    assert attempts[2].heard == ["returned", "begins in 2"]
    assert attempts[0].heard == ["begins in 1"]


def test_what_was_claimed_ahead_and_waits_too_long_is_refused(one: Fakes) -> None:
    one.hurry()
    attempts = [Attempt(nonce) for nonce in "ab"]
    one.add(*attempts)
    one.take(1)
    now = monotonic()
    one.crew.check(now + SHORT_SECONDS * 2)
    one.crew.check(now + AHEAD_SECONDS * 2)
    assert [attempt.heard for attempt in attempts] == [["begins in 1"], ["returned", "no_process"]]


def test_an_attempt_that_has_begun_cannot_be_withdrawn(one: Fakes) -> None:
    one.hurry()
    first, second = Attempt("a"), Attempt("b")
    one.add(first, second)
    one.take(1)
    assert one.crew.withdraw(second)
    assert not one.crew.withdraw(first)
    assert first.heard == ["begins in 1"]


def test_an_attempt_that_begins_while_it_is_withdrawn_goes_on(one: Fakes) -> None:
    one.hurry()
    first, second = Attempt("a"), Attempt("b")
    one.add(first, second)
    one.take(1)
    one.channels[1].send(Frame({"op": "outcome", "nonce": "a", "ends": None}, "a"))
    one.take(1)
    assert not one.crew.withdraw(second)
    assert (first.heard[-1], second.heard) == ("outcome a", ["begins in 1"])


def test_what_lies_on_the_tray_of_a_process_that_ends_itself_goes_to_another(one: Fakes) -> None:
    one.hurry()
    first, second = Attempt("a"), Attempt("b")
    one.add(first, second)
    one.take(1)
    one.say(1, "a", ends="the task left 1 threads behind")
    one.crew.hand_out()
    assert first.heard == ["begins in 1", "outcome a ends"]
    assert second.heard == ["returned", "begins in 2"]
    one.crew.pop(1).ended("exit code 0")
    assert first.heard[-1] == "end"


def test_a_fresh_process_is_fresh_and_ends_with_its_task(two: Fakes) -> None:
    used, own = Attempt("a"), Attempt("b", is_reusable=False)
    two.add(used)
    two.take(1)
    two.say(1, "a")
    two.add(own)
    assert own.heard == ["begins in 2"]
    assert two.take(2) == ("b", False)


def test_the_last_start_of_a_process_says_so() -> None:
    fakes = Fakes(seats=1, tasks_per_process=2)
    fakes.hurry()
    fakes.add(*(Attempt(nonce) for nonce in "abc"))
    assert [fakes.take(1), fakes.take(1)] == [("a", True), ("b", False)]
    assert not fakes.trays[1].is_readable
    fakes.close()


def test_idle_processes_are_ended_but_one() -> None:
    fakes = Fakes(seats=3)
    attempts = [Attempt(nonce) for nonce in "abc"]
    fakes.add(*attempts)
    for key, attempt in enumerate(attempts, 1):
        fakes.take(key)
        fakes.say(key, attempt.nonce)
    fakes.crew.check(monotonic() + IDLE_SECONDS * 2)
    told_to_end = [key for key, tray in fakes.trays.items() if tray.is_readable]
    assert len(fakes.trays) - len(told_to_end) == 1
    fakes.close()
