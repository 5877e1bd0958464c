"""TaskStateStore: the states of one run, shared by threads behind one lock, with two conditions to wait on."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from orch.authoring.run_result import StateChange
from orch.clock import Clock
from orch.domain.dagspec import DagSpec
from orch.domain.states import RunState
from orch.inprocess.locks import LockOrder, MakeLock, Rank
from orch.inprocess.rows import Attempt, By, Instance, Move, instances_of
from orch.inprocess.tables import Tables


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of the store at one moment; it does not change when the store does."""

    spec: DagSpec
    rows: tuple[Instance, ...]
    history: tuple[StateChange, ...]
    attempts: tuple[Attempt, ...]
    xcoms: Mapping[tuple[str, str], str]
    run_state: RunState
    run_history: tuple[tuple[RunState, RunState, str | None], ...]


class TaskStateStore:
    """One run's states. Every method may be called by any thread that does not hold the states lock.

    Who changes the tables notifies before the lock is given back: what a waiter has checked under the lock is
    still true when it begins to wait, so that no notification can fall into the gap between the two.
    """

    def __init__(self, spec: DagSpec, clock: Clock, make_lock: MakeLock | None = None) -> None:
        self.spec = spec
        self._lock = (make_lock or LockOrder())(Rank.STATES)
        self._work = threading.Condition(self._lock)  # type: ignore[arg-type]  # it needs four methods of a lock
        self._news = threading.Condition(self._lock)  # type: ignore[arg-type]  # the same
        self._tables = Tables(instances_of(spec), clock)

    @contextmanager
    def locked(self) -> Iterator[Tables]:
        """Give the tables to this thread alone for the block; afterwards whoever waits for the changes is woken."""
        with self._lock:
            waiting = len(self._tables.dispatch)
            yield self._tables
            self._tell(waiting)

    @contextmanager
    def locked_for_work(self) -> Iterator[Tables]:
        """Wait until something is queued or the store is closed; then as `locked`."""
        with self._lock:
            self._wait_for_work()
            waiting = len(self._tables.dispatch)
            yield self._tables
            self._tell(waiting)

    def move(self, moves: Sequence[Move], by: By) -> list[Instance]:
        """Move what still is as it was read, as one step; return the new rows of what moved."""
        with self.locked() as tables:
            return tables.move(moves, by)

    def get(self, ti_id: int) -> Instance:
        """Return one task instance."""
        with self._lock:
            return self._tables.rows[ti_id]

    def xcom(self, task_id: str, key: str) -> str | None:
        """Return what the accepted try of a task has handed over, as JSON text."""
        with self._lock:
            return self._tables.xcoms.get((task_id, key))

    def snapshot(self) -> Snapshot:
        """Return all of it."""
        with self._lock:
            tables = self._tables
            return Snapshot(
                self.spec,
                tuple(tables.rows.values()),
                tuple(tables.history),
                tuple(tables.attempts.values()),
                dict(tables.xcoms),
                tables.run_state,
                tuple(tables.run_history),
            )

    def changes_after(self, seq: int) -> list[StateChange]:
        """Return the history from the row after `seq` on."""
        with self._lock:
            return self._tables.history[seq:]

    def wait_for_attention(self, timeout: float | None) -> None:
        """Return when somebody has to look at the run, or after `timeout` seconds."""
        with self._lock:
            self._news.wait_for(self._is_wanted, timeout)
            self._tables.needs_attention = False

    def call_for_attention(self) -> None:
        """Wake whoever watches over the run."""
        with self.locked() as tables:
            tables.needs_attention = True

    def close(self) -> None:
        """Let every thread that waits for work go, and hand out no more."""
        with self.locked() as tables:
            tables.is_closed = True
            self._work.notify_all()

    def fail(self, crash: BaseException) -> None:
        """Remember that a thread of the runner itself has broken, for the thread that watches over the run."""
        with self.locked() as tables:
            tables.crash = crash
            tables.needs_attention = True

    def _wait_for_work(self) -> None:
        while (
            not self._has_work()
        ):  # in a loop: another thread may have been quicker than the one that was woken
            self._work.wait()

    def _has_work(self) -> bool:
        return bool(self._tables.dispatch) or self._tables.is_closed

    def _is_wanted(self) -> bool:
        return self._tables.needs_attention

    def _tell(self, waiting_before: int) -> None:
        """Wake one thread for each task instance that has come into the queue, and the watcher when he is wanted."""
        if (more := len(self._tables.dispatch) - waiting_before) > 0:
            self._work.notify(more)
        if self._tables.needs_attention:
            self._news.notify_all()
