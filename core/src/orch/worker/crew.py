"""The crew of a host: its task processes, the attempts that wait for one, and which of them goes where."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from orch.clock import monotonic
from orch.runner.tray import Start
from orch.worker.reactor import Reactor
from orch.worker.seats import SHORT_SECONDS, Seats
from orch.worker.task_process import Listener, TaskProcess

SPARE = 1
"""Idle task processes that a host keeps, so that the fork is off the way of the next attempt."""
IDLE_SECONDS = 10.0
"""More idle ones than that are ended after this time."""
AHEAD_SECONDS = 1.0
"""An attempt that was claimed ahead and finds no process for this time is handed back."""
WATCH_SECONDS = 0.003
"""After this time an attempt's output is passed on as it comes; the output of a shorter one is read at its end."""
DEAF_SECONDS = 5.0
"""A task process that does not take its start for this time is killed."""


class Runnable(Listener, Protocol):
    """What a host runs: an attempt."""

    nonce: str
    is_reusable: bool
    """True when it may share a task process with attempts before and after it."""

    def command(self) -> str:
        """Return the JSON of its task command."""
        ...

    def on_import_failed(self, error: str, traceback: str | None) -> None:
        """It cannot begin, because its DAG file cannot be imported."""


@dataclass(frozen=True, slots=True)
class Turnover:
    """When a task process is replaced though it is clean."""

    tasks_per_process: int
    growth_bytes: int


@dataclass(slots=True)
class _Waiting:
    attempt: Runnable
    since: float


class Crew:
    """All task processes of one host."""

    def __init__(
        self,
        reactor: Reactor,
        seats: Seats,
        turnover: Turnover,
        *,
        ask_for: Callable[[TaskProcess], None],
        kill: Callable[[TaskProcess], None],
    ) -> None:
        """`ask_for` has the host make a process, `kill` has it end one at once."""
        self.is_open = False
        """True once the host can make processes; until then everything waits."""
        self._reactor = reactor
        self._seats = seats
        self._turnover = turnover
        self._ask_for = ask_for
        self._kill = kill
        self._waiting: deque[_Waiting] = deque()
        self._tasks: dict[int, TaskProcess] = {}
        self._numbers = itertools.count(1)
        self._is_closed = False
        self._forks = False
        """True once an attempt has asked for a process of its own."""

    @property
    def is_idle(self) -> bool:
        """True while nothing waits and no task process has an attempt."""
        return not self._waiting and not any(task.is_busy for task in self._tasks.values())

    @property
    def has_waiting(self) -> bool:
        """True while an attempt waits for a process, or for the import."""
        return bool(self._waiting)

    def __getitem__(self, key: int) -> TaskProcess:
        return self._tasks[key]

    def pop(self, key: int) -> TaskProcess:
        """Forget a process and return it."""
        return self._tasks.pop(key)

    def close(self) -> list[TaskProcess]:
        """Forget all processes and return them; from now on nothing is handed out."""
        self._is_closed = True
        tasks, self._tasks = self._tasks, {}
        return list(tasks.values())

    def not_spawned(self, key: int, error: str) -> None:
        """The system has no room for a process now: what it was to run has not begun."""
        task = self.pop(key)
        before = {id(one) for one in self._waiting}
        task.ended("")
        for one in [one for one in self._waiting if id(one) not in before]:
            self._waiting.remove(one)
            one.attempt.on_no_process(error)

    def add(self, attempt: Runnable) -> None:
        """Let an attempt wait, and hand out what can be handed out."""
        self._waiting.append(_Waiting(attempt, monotonic()))
        self._forks = self._forks or not attempt.is_reusable
        self.hand_out()

    def take_waiting(self) -> list[Runnable]:
        """Forget all that waits and return it."""
        waiting, self._waiting = self._waiting, deque()
        return [one.attempt for one in waiting]

    def withdraw(self, attempt: Runnable) -> bool:
        """Forget an attempt that has not begun; return False when it has."""
        for task in self._tasks.values():
            if task.has(attempt):
                task.recall()
                break
        found = next((one for one in self._waiting if one.attempt is attempt), None)
        if found is not None:
            self._waiting.remove(found)
        return found is not None

    def hand_out(self) -> None:
        """Give waiting attempts to processes, as far as there are seats, and room on trays while tasks are short."""
        while self._waiting and self.is_open and self._hand_over(self._waiting[0].attempt):
            continue
        if self.is_open and not self._is_closed:
            self._keep_spare()

    def busy_for(self, now: float) -> Iterator[float]:
        """Yield for how long each busy process has been at its present attempt."""
        for task in self._tasks.values():
            if (begun_at := task.begun_at) is not None:
                yield now - begun_at

    def check(self, now: float) -> None:
        """Take starts from behind tasks that take long; end processes that do not react or are not needed."""
        for task in list(self._tasks.values()):
            if task.is_unwatched and task.begun_at is not None and now - task.begun_at > WATCH_SECONDS:
                task.watch()
            if task.ahead and task.begun_at is not None and now - task.begun_at > SHORT_SECONDS:
                task.recall()
            elif task.is_deaf(now, DEAF_SECONDS):
                task.recall()
                if task.is_idle:  # it could have taken it
                    task.doom()
                    self._kill(task)
        while self._waiting and not self._seats.has_free and self.is_open:
            if now - self._waiting[0].since < AHEAD_SECONDS:
                break
            self._waiting.popleft().attempt.on_no_process("no task process had time for it")
        self._trim(now)

    def next_check(self) -> float | None:
        """Return when `check` has something to do."""
        moments = []
        for task in self._tasks.values():
            if (begun_at := task.begun_at) is not None:
                if task.is_unwatched:
                    moments.append(begun_at + WATCH_SECONDS)
                elif task.ahead:
                    moments.append(begun_at + SHORT_SECONDS)
        if self._waiting and self.is_open:
            moments.append(self._waiting[0].since + AHEAD_SECONDS)
        return min(moments, default=None)

    def _hand_over(self, attempt: Runnable) -> bool:
        """Hand the first waiting attempt over; return False when it has to wait on."""
        if self._is_closed:
            self._waiting.popleft()
            attempt.on_no_process("its host has just ended")
            return True
        needs_seat = self._seats.has_free
        try:
            task = self._free_one(attempt) if needs_seat else self._shortest_tray(attempt)
            if task is None:
                return False
            first = self._waiting.popleft()
            if not self._start(task, attempt):
                self._waiting.appendleft(first)
                return self._is_closed
        except OSError as error:
            if not needs_seat:
                return False
            if self._waiting and self._waiting[0].attempt is attempt:
                self._waiting.popleft()
            attempt.on_no_process(str(error))
        return True

    def _start(self, task: TaskProcess, attempt: Runnable) -> bool:
        keep = attempt.is_reusable and task.served + 1 < self._turnover.tasks_per_process
        start = Start(attempt.nonce, attempt.command(), keep, self._turnover.growth_bytes)
        return task.start(start, attempt)

    def _free_one(self, attempt: Runnable) -> TaskProcess:
        idle = [task for task in self._tasks.values() if task.is_idle]
        if attempt.is_reusable:
            return max(idle, key=lambda task: task.served, default=None) or self._spawn()
        return next((task for task in idle if task.served == 0), None) or self._spawn()

    def _shortest_tray(self, attempt: Runnable) -> TaskProcess | None:
        most = self._seats.pace.ahead
        if not attempt.is_reusable or not most:
            return None
        now = monotonic()
        taking = [
            task
            for task in self._tasks.values()
            if task.begun_at is not None
            and not task.is_ending
            and task.ahead < most
            and now - task.begun_at < SHORT_SECONDS
        ]
        return min(taking, key=lambda task: task.ahead, default=None)

    def _spawn(self) -> TaskProcess:
        task = TaskProcess(next(self._numbers), self._reactor, self._seats, self._returned)
        self._tasks[task.key] = task
        self._ask_for(task)
        return task

    def _returned(self, listeners: list[Listener]) -> None:
        now = monotonic()
        for listener in reversed(listeners):
            self._waiting.appendleft(_Waiting(listener, now))  # type: ignore[arg-type]  # they came as such
        for listener in listeners:
            listener.on_returned()

    def _keep_spare(self) -> None:
        idle = [task for task in self._tasks.values() if task.is_idle]
        fresh = [task for task in idle if task.served == 0]
        with suppress(OSError):  # without a spare the next attempt only waits a little
            for _ in range(SPARE - len(fresh if self._forks else idle)):
                self._spawn()

    def _trim(self, now: float) -> None:
        idle = [task for task in self._tasks.values() if task.is_idle and task.pid is not None]
        kept = max(idle, key=lambda task: task.served, default=None)
        fresh = next((task for task in idle if task.served == 0), None) if self._forks else None
        for task in idle:
            if task is not kept and task is not fresh and now - task.idle_since > IDLE_SECONDS:
                task.dismiss()
