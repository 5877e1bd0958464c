"""The runner: one run from its beginning to its end, in the calling thread alone or with a pool of threads."""

import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from orch.authoring.operator import BaseOperator
from orch.authoring.run_result import StateChange
from orch.clock import monotonic
from orch.domain.dagspec import DagSpec
from orch.domain.run_view import TIMED_OUT
from orch.domain.states import OPEN, RunState, TaskState
from orch.errors import OrchError
from orch.inprocess import protocol
from orch.inprocess.decider import Decider
from orch.inprocess.execution import REVOKED, Execution
from orch.inprocess.locks import LockOrder
from orch.inprocess.performer import Perform, timed_out
from orch.inprocess.pool import Pool, Stuck
from orch.inprocess.rows import Attempt, Move
from orch.inprocess.run_clock import RunClock
from orch.inprocess.state_store import TaskStateStore
from orch.inprocess.tables import Tables
from orch.runner.interrupt import KILLED

OnEvent = Callable[[StateChange], None]


class Stalled(OrchError):
    """Nothing is running and nothing ever will, although tasks are waiting."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is carried out."""

    parallelism: int = 1
    """1 runs every task in the calling thread; more start so many threads."""
    pools: Mapping[str, int] = field(default_factory=dict)
    wait_for_retries: bool = True
    """False makes the run's clock leap over every wait in which nothing runs."""
    on_event: OnEvent | None = None
    """Called with each move, in order, in the calling thread and under no lock."""
    lease_seconds: float = 3.0
    infra_loss_limit: int = 3
    grace_seconds: float = 5.0
    """How long the end of the run waits for threads that should have ended."""


class Runner:
    """Carries out one run of a spec. `perform` runs an attempt; the states are in `store`."""

    def __init__(
        self,
        spec: DagSpec,
        options: Options,
        clock: RunClock,
        *,
        make_perform: Callable[["Runner"], Perform],
        timer: Callable[[], float] = monotonic,
    ) -> None:
        spec = DagSpec.from_json(spec.to_json())  # as the scheduler reads it, so tasks come in the same order
        order = LockOrder()
        self.options = options
        self.clock = clock
        self.store = TaskStateStore(spec, clock, order)
        self.execution = Execution(
            self.store,
            lease_seconds=options.lease_seconds,
            infra_loss_limit=options.infra_loss_limit,
            timer=timer,
        )
        self.decider = Decider(self.store, options.pools, clock, order)
        self.perform = make_perform(self)
        self.stuck: list[Stuck] = []
        self._told = 0

    def run(self) -> None:
        """Carry out the run; what ends it before its time (Ctrl-C, an error of `on_event`) passes.

        Afterwards no thread of it is left but those in `stuck`.
        """
        with self.store.locked() as tables:
            tables.is_watched = self.options.on_event is not None
        pool = self.make_pool() if self.options.parallelism > 1 else None
        try:
            self.decider.start()
            self.decider.step()
            if pool is None:
                self._run_here()
            else:
                self._watch(pool)
        except BaseException:
            self._cancel()
            raise
        finally:
            self.store.close()
            if pool is not None:
                self._leave(pool)
        self._tell()

    def make_pool(self) -> Pool:
        """Return the threads of this run, not started yet."""
        return Pool(
            self.options.parallelism, self.execution, self.perform, self.decider.step, self.store.fail
        )

    # In the calling thread

    def _run_here(self) -> None:
        name = threading.current_thread().name
        while not self._has_ended():
            claim = self.execution.claim(name)
            if claim is None:
                self._rest(None)
                self.decider.step()
                continue
            self._tell()
            outcome = self.perform(claim, _ignore)
            if outcome.reason == TIMED_OUT:
                self._reach_deadline()
            self.execution.report(claim.key, claim.nonce, outcome)
            if outcome.reason == KILLED:  # a SIGTERM was meant for the program as well
                signal.raise_signal(signal.SIGTERM)
            self.decider.step()
            self._tell()

    def _reach_deadline(self) -> None:
        """Let the run's clock agree with the timer that has rung: the two may differ a little."""
        with self.store.locked() as tables:
            deadline = tables.deadline
        if deadline is not None:
            self.clock.leap_to(deadline)

    # With a pool

    def _watch(self, pool: Pool) -> None:
        """Watch over the pool: leases, timeouts, timers. Deciding is done by whoever has something to report."""
        while not self._has_ended():
            pool.fill()
            self._look_after(pool)
            self._tell()
            self._rest(self._next_timeout())
            if self._is_due():
                self.decider.step()

    def _look_after(self, pool: Pool) -> None:
        """Renew first, then look who is lost: so a process that was asleep loses nobody."""
        over = self.execution.renew(pool.named())
        late, _ = self.execution.overdue()
        for attempt in late:
            self._time_out(attempt)
        lost = self.execution.rescue()
        for key in [*over, *(attempt.key for attempt in late), *lost]:
            pool.give_up(key)
        if late or lost:
            self.decider.step()
            pool.fill()

    def _time_out(self, attempt: Attempt) -> None:
        task_id = self.store.get(attempt.ti_id).task_id
        limit = self.store.spec.by_id[task_id].execution_timeout_seconds or 0.0
        now = self.clock()
        self.execution.report(attempt.key, attempt.nonce, timed_out(limit, now, now))
        _say(f"{task_id} timed out after {limit:g} s; its thread cannot be killed, its result is refused")

    def _next_timeout(self) -> float:
        """Return the seconds until the watch has to look again at leases and timeouts."""
        _, timeout_at = self.execution.overdue()
        beat = self.options.lease_seconds / 3
        return beat if timeout_at is None else min(beat, max(0.0, timeout_at - monotonic()))

    def _leave(self, pool: Pool) -> None:
        for key in self.execution.renew(pool.named()):
            pool.give_up(key)
        self.stuck = pool.join(self.options.grace_seconds)
        for each in self.stuck:
            _say(
                f"thread {each.thread} still runs task {each.task_id!r}, at {each.place}; it cannot be killed"
            )

    # Both

    def _rest(self, seconds: float | None) -> None:
        """Wait until somebody calls, a timer is due, or `seconds` are over; with nothing under way, leap or give up."""
        is_idle = self.decider.is_idle()
        due_at = self.decider.due_at
        if is_idle and due_at is None:
            self._refuse_to_wait()
        if is_idle and due_at is not None and not self.options.wait_for_retries:
            self.clock.leap_to(due_at)
            return
        until_due = None if due_at is None else (due_at - self.clock()).total_seconds()
        waits = [wait for wait in (seconds, until_due) if wait is not None]
        self.store.wait_for_attention(max(0.0, min(waits)) if waits else None)

    def _is_due(self) -> bool:
        due_at = self.decider.due_at
        return due_at is not None and due_at <= self.clock()

    def _has_ended(self) -> bool:
        with self.store.locked() as tables:
            if tables.crash is not None:
                raise tables.crash
            return tables.has_ended

    def _refuse_to_wait(self) -> NoReturn:
        rows = [row for row in self.store.snapshot().rows if row.state in OPEN]
        waiting = ", ".join(f"{row.task_id} ({row.state})" for row in rows)
        raise Stalled(
            f"nothing runs, and these tasks wait for slots that never come: {waiting}; see `pools=`"
        )

    def _cancel(self) -> None:
        """T12: take every right back, so that nothing that still runs is heard."""
        with self.store.locked() as tables:
            if not tables.has_ended:
                _cancel_all(tables)

    def _tell(self) -> None:
        if self.options.on_event is not None:
            for change in self.store.changes_after(self._told):
                self._told = change.seq
                self.options.on_event(change)


def _cancel_all(tables: Tables) -> None:
    rows = [row for row in tables.rows.values() if row.state in OPEN]
    moves = [Move(row, protocol.revoked(row, TaskState.CANCELLED, "cancelled")) for row in rows]
    tables.move(moves, protocol.OPERATOR)
    for key in sorted(tables.open_attempts):
        tables.end_attempt(key, REVOKED, error="the run was cancelled")
    tables.move_run(RunState.CANCELLED, "cancelled")


def _say(text: str) -> None:
    sys.stderr.write(f"orch: {text}\n")
    sys.stderr.flush()


def _ignore(_operator: BaseOperator) -> None:
    """In the calling thread nobody could call `on_kill` from outside."""
