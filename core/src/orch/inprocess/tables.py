"""The tables of one run in memory, and the one door through which a state moves. Only to be touched under a lock."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from orch.authoring.run_result import StateChange
from orch.clock import Clock, to_micros
from orch.domain.states import ALLOWED, OCCUPYING, RUN_TERMINAL, RUN_TRANSITIONS, RunState, TaskState
from orch.inprocess.rows import Attempt, AttemptKey, By, Instance, Move


class IllegalMove(AssertionError):
    """A move that the table of transitions does not have: a bug in the caller, never a race."""


class Tables:
    """What `TaskStateStore.locked` hands out."""

    def __init__(self, rows: Iterable[Instance], clock: Clock) -> None:
        self.clock = clock
        self.rows = {row.id: row for row in rows}
        self.history: list[StateChange] = []
        self.attempts: dict[AttemptKey, Attempt] = {}
        self.open_attempts: set[AttemptKey] = set()
        """An index of `attempts`: those without an outcome."""
        self.dispatch: dict[int, int] = {}
        """Rank by id of what is queued: when it came, less its head start; the lowest goes first."""
        self.occupying: set[int] = set()
        """An index of `rows`: the ids of what takes a slot. Slots are counted over it, never in a counter."""
        self.wakeups: list[int] = []
        """Ids that the next decision has to look at."""
        self.xcoms: dict[tuple[str, str], str] = {}
        self.run_state = RunState.QUEUED
        self.run_history: list[tuple[RunState, RunState, str | None]] = []
        self.deadline: datetime | None = None
        """When the time of the run is over (`dagrun_timeout`); no result counts from then on."""
        self.is_closed = False
        """No more claims."""
        self.needs_attention = False
        """Somebody who watches over the run has to look."""
        self.is_watched = False
        """Every move needs attention, because somebody wants to be told."""
        self.crash: BaseException | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the run is over."""
        return self.run_state in RUN_TERMINAL

    def move(self, moves: Sequence[Move], by: By, at: datetime | None = None) -> list[Instance]:
        """Move each task instance that still is as it was read; return the new rows of those that moved.

        A loser (somebody else was first) is left out and nothing is raised. Each move writes one history row and
        raises the version by one, at the moment `at` or now.
        """
        for move in moves:
            if (move.row.state, move.to.state, by.actor) not in ALLOWED:
                raise IllegalMove(f"{move.row.state} -> {move.to.state} by {by.actor} ({move.row.task_id})")
        moved = (self._compare_and_set(move, by, at) for move in moves)
        return [row for row in moved if row is not None]

    def is_late(self, now: datetime) -> bool:
        """Return whether the time of the run is over."""
        return self.deadline is not None and self.deadline <= now

    def move_run(self, new: RunState, reason: str | None = None) -> None:
        """Move the run."""
        if new not in RUN_TRANSITIONS[self.run_state]:
            raise IllegalMove(f"run: {self.run_state} -> {new}")
        self.run_history.append((self.run_state, new, reason))
        self.run_state = new
        self.needs_attention |= self.has_ended

    def start_attempt(self, attempt: Attempt) -> None:
        """Add an open attempt."""
        self.attempts[attempt.key] = attempt
        self.open_attempts.add(attempt.key)

    def end_attempt(
        self, key: AttemptKey, outcome: str, *, error: str | None = None, traceback: str | None = None
    ) -> None:
        """Close an attempt; from now on nothing that its holder says counts."""
        self.attempts[key] = replace(self.attempts[key], outcome=outcome, error=error, traceback=traceback)
        self.open_attempts.discard(key)

    def _compare_and_set(self, move: Move, by: By, at: datetime | None) -> Instance | None:
        if not self._is_current(move.row):
            return None
        new = replace(move.to, version=move.row.version + 1, since=at or self.clock())
        self._write(new, self._change(move.row, new, by))
        return new

    def _is_current(self, row: Instance) -> bool:
        now = self.rows[row.id]
        return (now.version, now.state, now.epoch) == (row.version, row.state, row.epoch)

    def _change(self, old: Instance, new: Instance, by: By) -> StateChange:
        return StateChange(
            seq=len(self.history) + 1,
            ti_id=new.id,
            task_id=new.task_id,
            version=new.version,
            old=old.state,
            new=new.state,
            epoch=new.epoch,
            try_number=new.try_number,
            actor=by.actor,
            actor_id=by.id,
            reason=new.reason,
            at=new.since,
        )

    def _write(self, row: Instance, change: StateChange) -> None:
        self.rows[row.id] = row
        self.history.append(change)
        if row.state is TaskState.QUEUED:
            self.dispatch[row.id] = to_micros(row.since) - row.head_start
        else:
            self.dispatch.pop(row.id, None)
        if row.state in OCCUPYING:
            self.occupying.add(row.id)
        else:
            self.occupying.discard(row.id)
        self.needs_attention |= self.is_watched
