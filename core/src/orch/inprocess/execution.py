"""Execution: what threads that run tasks may do with the state store - claim, report, renew - each one step."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from orch.clock import monotonic
from orch.domain.states import TERMINAL, Actor, TaskState
from orch.ids import new_nonce
from orch.inprocess import protocol
from orch.inprocess.rows import Attempt, AttemptKey, By, Instance, Move
from orch.inprocess.state_store import TaskStateStore
from orch.inprocess.tables import Tables
from orch.runner.outcome import Outcome

ACCEPTED, REPEATED, REFUSED = "accepted", "repeated", "refused"
REVOKED, LOST = "revoked", "lost"
"""Outcomes of attempts that did not end by a report."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one attempt, and what the run needs."""

    ti_id: int
    epoch: int
    nonce: str = field(repr=False)
    task_id: str
    try_number: int
    max_tries: int
    holder: str
    inputs: tuple[tuple[str, str, int, str | None], ...]

    @property
    def key(self) -> AttemptKey:
        """What names the attempt."""
        return self.ti_id, self.epoch


class Execution:
    """The guarded functions behind a thread that runs tasks.

    A lease lasts `lease_seconds` and is renewed by naming the attempt; one that is not named for so long is lost.
    """

    def __init__(
        self,
        store: TaskStateStore,
        *,
        lease_seconds: float = 3.0,
        infra_loss_limit: int = 3,
        timer: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._lease_seconds = lease_seconds
        self._infra_loss_limit = infra_loss_limit
        self._timer = timer

    def claim(self, holder: str) -> Claim | None:
        """T3: take the next queued task instance; None when there is none."""
        return self._claim(holder, self._store.locked())

    def wait_and_claim(self, holder: str) -> Claim | None:
        """As `claim`, but wait for work; None when the store is closed."""
        claim = None
        while claim is None and not self._is_closed():
            claim = self._claim(holder, self._store.locked_for_work())
        return claim

    def report(self, key: AttemptKey, nonce: str, outcome: Outcome) -> str:
        """T5: write how an attempt ended; `accepted`, `repeated` (it was known already) or `refused`.

        Only who brings epoch and nonce of the open attempt is heard; late results of others change nothing. When
        the time of the run is over nobody is heard: the next decision cancels what is still running.
        """
        with self._store.locked() as tables:
            attempt = tables.attempts.get(key)
            if attempt is None or attempt.nonce != nonce:
                return REFUSED
            if attempt.outcome is not None:
                return REPEATED if attempt.outcome == outcome.kind else REFUSED
            return self._accept(tables, attempt, outcome)

    def renew(self, named: Collection[AttemptKey]) -> list[AttemptKey]:
        """T4: prolong the leases of the named attempts; return those among them that are over and must end."""
        until = self._timer() + self._lease_seconds
        with self._store.locked() as tables:
            for key in tables.open_attempts.intersection(named):
                tables.attempts[key] = replace(tables.attempts[key], leased_until=until)
            return [key for key in named if key not in tables.open_attempts]

    def rescue(self) -> list[AttemptKey]:
        """T8: take back what nobody has named for the length of a lease; return what was lost."""
        now = self._timer()
        with self._store.locked() as tables:
            over = [key for key in sorted(tables.open_attempts) if tables.attempts[key].leased_until < now]
            rows = [tables.rows[ti_id] for ti_id, _ in over]
            moves = [Move(row, protocol.lost(row, self._infra_loss_limit)) for row in rows]
            for row in tables.move(moves, protocol.RESCUE):
                tables.wakeups.append(row.id)
            for key in over:
                tables.end_attempt(key, LOST, error="its thread no longer named it")
            return over

    def overdue(self) -> tuple[list[Attempt], float | None]:
        """Return the open attempts whose execution timeout is over, and when the next one's will be."""
        now = self._timer()
        with self._store.locked() as tables:
            timed = [tables.attempts[key] for key in sorted(tables.open_attempts)]
        late = [each for each in timed if each.timeout_at is not None and each.timeout_at <= now]
        coming = [each.timeout_at for each in timed if each.timeout_at is not None and each.timeout_at > now]
        return late, min(coming, default=None)

    def _claim(self, holder: str, locked: AbstractContextManager[Tables]) -> Claim | None:
        nonce = new_nonce()
        with locked as tables:
            if tables.is_closed or not tables.dispatch:
                return None
            row = tables.rows[min(tables.dispatch, key=tables.dispatch.__getitem__)]
            by = By(Actor.WORKER, holder)
            for won in tables.move([Move(row, protocol.started(row, tables.clock()))], by):
                tables.start_attempt(self._attempt(won, nonce, holder))
                return self._granted(tables, won, nonce, holder)
        return None

    def _attempt(self, row: Instance, nonce: str, holder: str) -> Attempt:
        now = self._timer()
        limit = self._store.spec.by_id[row.task_id].execution_timeout_seconds
        return Attempt(
            ti_id=row.id,
            epoch=row.epoch,
            nonce=nonce,
            try_number=row.try_number,
            holder=holder,
            leased_until=now + self._lease_seconds,
            timeout_at=None if limit is None else now + limit,
        )

    def _granted(self, tables: Tables, row: Instance, nonce: str, holder: str) -> Claim:
        names = self._store.spec.by_id[row.task_id].inputs
        inputs = tuple((task_id, key, -1, tables.xcoms.get((task_id, key))) for task_id, key in names)
        if tables.attempts[row.id, row.epoch].timeout_at is not None:
            tables.needs_attention = True  # the watcher has to get up in time
        return Claim(row.id, row.epoch, nonce, row.task_id, row.try_number, row.max_tries, holder, inputs)

    def _accept(self, tables: Tables, attempt: Attempt, outcome: Outcome) -> str:
        row = tables.rows[attempt.ti_id]
        if row.state is not TaskState.RUNNING or row.epoch != attempt.epoch:
            return REFUSED
        now = tables.clock()
        if tables.is_late(now):
            tables.needs_attention = True
            return REFUSED
        retry = self._store.spec.by_id[row.task_id].retry
        to = protocol.reported(row, outcome, retry, now)
        for won in tables.move([Move(row, to)], By(Actor.WORKER, attempt.holder), now):
            tables.end_attempt(attempt.key, outcome.kind, error=outcome.error, traceback=outcome.traceback)
            tables.wakeups.append(won.id)
            if won.state in TERMINAL:  # what a try that is repeated handed over is forgotten
                tables.xcoms.update({(won.task_id, key): text for key, text in outcome.xcoms})
        return ACCEPTED

    def _is_closed(self) -> bool:
        with self._store.locked() as tables:
            return tables.is_closed
