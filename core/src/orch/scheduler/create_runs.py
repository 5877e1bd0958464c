"""Creation of scheduled runs: each tick of a timetable becomes one run; run and cursor move together."""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from orch.clock import from_micros, monotonic, to_micros
from orch.domain.ticks import due_ticks
from orch.domain.timetables import DagTimetable
from orch.errors import StoreError
from orch.failpoints import FailpointError
from orch.scheduler.context import SchedulerContext
from orch.scheduler.run_of_tick import run_of_tick
from orch.store.engine import StoreRefused, Tx
from orch.store.queries import cursors, promotion, run_creation
from orch.store.queries.cursors import CursorRow
from orch.store.queries.run_creation import DagRow

log = logging.getLogger("orch.scheduler")

T = TypeVar("T")

RUNS_PER_TURN = 20
"""A DAG that catches up makes so many runs, then it is the turn of others."""
TASKS_PER_TRANSACTION = 500
SECONDS_PER_TRANSACTION = 0.2
SECONDS_PER_ROUND = 0.15
"""So long one transaction follows the other; then it is the turn of the runs in hand."""
MOST_QUEUED = 100
"""A DAG with so many scheduled runs that have not begun gets no more: ten years of catch-up come bit by bit."""
SET_ASIDE_SECONDS = 30.0
SECONDS_BETWEEN_LOOKS_AHEAD = 10.0
SET_BACK_PER_TRANSACTION = 200
TIMETABLES = 5000


class RunCreator:
    """Works through the DAGs whose ticks have come, some at a time, so that the runs in hand go on between."""

    def __init__(self, context: SchedulerContext, seconds_per_round: float = SECONDS_PER_ROUND) -> None:
        self._context = context
        self._seconds_per_round = seconds_per_round
        self._due: deque[int] = deque()
        self._listed_until: int | None = None
        self._set_aside: dict[int, float] = {}
        self._seen_at = 0
        self._look_ahead_at = 0.0
        self._timetables: OrderedDict[int, DagTimetable] = OrderedDict()

    def run_once(self) -> int:
        """Create runs, batch by batch until the round is over; return how much was done, 0 when all is.

        A DAG whose schedule is broken is set aside for a while and stops no other one.
        """
        if self._context.scope is not None:
            return 0
        with self._context.store.read() as tx:
            ahead = self._ahead(tx)
        created = self._set_back_all(ahead) if ahead else 0
        with self._context.store.read() as tx:
            self._list_due(tx)
        until = monotonic() + self._seconds_per_round
        try:
            while self._due:
                with self._context.store.write("create_run") as tx:
                    created += self._create_batch(tx)
                if monotonic() >= until:
                    break
        except BaseException:
            self._due.clear()
            raise
        return created + bool(self._due)

    def _ahead(self, tx: Tx) -> list[int]:
        """Return whose cursors are ahead of the clock: looked for at first, after a step back and now and then."""
        stepped_back, self._seen_at = tx.now < self._seen_at, tx.now
        if not stepped_back and monotonic() < self._look_ahead_at:
            return []
        now = monotonic()
        found = [pk for pk in cursors.ahead(tx) if self._set_aside.get(pk, now) <= now]
        is_cut = len(found) > SET_BACK_PER_TRANSACTION
        self._look_ahead_at = 0.0 if is_cut else now + SECONDS_BETWEEN_LOOKS_AHEAD
        return found[:SET_BACK_PER_TRANSACTION]

    def _set_back_all(self, ahead: list[int]) -> int:
        try:
            with self._context.store.write("create_run") as tx:
                still = set(ahead).intersection(cursors.ahead(tx))
                return sum(self._guarded(tx, dag_pk, self._set_back).runs for dag_pk in sorted(still))
        except BaseException:
            self._look_ahead_at = 0.0
            raise

    def _set_back(self, tx: Tx, dag_pk: int) -> "_Turn":
        """Let a schedule that a clock ahead of this one has dealt with go on with the first tick after now.

        The ticks before now had their turn before; runs that were made ahead are found when their ticks come.
        """
        cursor = cursors.get(tx, dag_pk)
        if cursor is None:
            return _NOTHING
        dag = run_creation.find_dag(tx, cursor.dag_id, self._context.specs.get)
        if dag is None:
            return _NOTHING
        timetable, now = self._timetable(dag), from_micros(tx.now)
        following = timetable.next_after(now)
        next_tick_at = None if following is None else to_micros(following)
        log.warning(
            "DAG %s: the clock was put back and its schedule was ahead, at %s; it goes on with %s",
            dag.dag_id, _text(cursor.last_tick_at), _text(next_tick_at),
        )  # fmt: skip
        last = timetable.latest(now) or now
        cursors.set_back(tx, dag_pk, to_micros(last), next_tick_at)
        return _Turn(1, 0)

    def _list_due(self, tx: Tx) -> None:
        """List who is due when everybody listed before has had a turn, or when a new tick has come since."""
        if self._due and (self._listed_until is None or tx.now < self._listed_until):
            return
        now = monotonic()
        self._set_aside = {dag_pk: until for dag_pk, until in self._set_aside.items() if until > now}
        self._due = deque(pk for pk in cursors.due(tx, MOST_QUEUED) if pk not in self._set_aside)
        self._listed_until = cursors.next_at(tx) if self._due else None

    def _create_batch(self, tx: Tx) -> int:
        """Give DAGs their turns while there is time and room; return how many runs were made."""
        runs, room = 0, TASKS_PER_TRANSACTION
        until = monotonic() + SECONDS_PER_TRANSACTION
        while self._due and monotonic() < until:
            turn = self._turn(tx, self._due[0], room)
            if turn is None:
                break
            self._due.popleft()
            runs += turn.runs
            room -= turn.tasks
        return runs

    def _turn(self, tx: Tx, dag_pk: int, room: int) -> "_Turn | None":
        """Create for one DAG, None when the transaction has no room for a run of it."""
        return self._guarded(tx, dag_pk, lambda tx, dag_pk: self._create_for(tx, dag_pk, room))

    def _guarded(self, tx: Tx, dag_pk: int, act: Callable[[Tx, int], T]) -> "T | _Turn":
        """What a DAG that cannot be scheduled has written is undone, and the DAG set aside."""
        try:
            with tx.savepoint():
                return act(tx, dag_pk)
        except (StoreError, FailpointError) as error:
            if not isinstance(error, StoreRefused):
                raise
            return self._put_aside(dag_pk)
        except Exception:  # a timetable may be a plugin's
            return self._put_aside(dag_pk)

    def _put_aside(self, dag_pk: int) -> "_Turn":
        log.exception(
            "DAG %d: its scheduled run cannot be created; tried again in %.0f s", dag_pk, SET_ASIDE_SECONDS
        )
        self._set_aside[dag_pk] = monotonic() + SET_ASIDE_SECONDS
        return _NOTHING

    def _create_for(self, tx: Tx, dag_pk: int, room: int) -> "_Turn | None":
        cursor = cursors.get(tx, dag_pk)
        if cursor is None or cursor.next_tick_at is None or cursor.next_tick_at > tx.now:
            return _NOTHING
        dag = run_creation.find_dag(tx, cursor.dag_id, self._context.specs.get)
        if dag is None:
            return _NOTHING
        size = max(1, len(dag.spec.tasks))
        if size > room and room < TASKS_PER_TRANSACTION:
            return None
        queued = promotion.queued_scheduled(tx, dag_pk)
        most = min(RUNS_PER_TURN, MOST_QUEUED - queued, max(1, room // size))
        return self._create_ticks(tx, dag, cursor, most)

    def _create_ticks(self, tx: Tx, dag: DagRow, cursor: CursorRow, most: int) -> "_Turn":
        position = cursors.as_cursor(cursor.last_tick_at, cursor.next_tick_at)
        timetable = self._timetable(dag)
        due = due_ticks(timetable, position, from_micros(tx.now), catchup=dag.spec.catchup, most=most)
        for tick in due.ticks:
            run_creation.create_run(
                tx,
                dag,
                run_of_tick(dag.spec, timetable, tick),
                default_executor=self._context.default_executor,
                by=self._context.by,
            )
        last = to_micros(due.ticks[-1]) if due.ticks else cursor.last_tick_at
        following = None if due.following is None else to_micros(due.following)
        since = to_micros(due.ticks[0]) if due.ticks else None
        if following is not None and following > tx.now:
            self._listed_until = min(self._listed_until or following, following)
        cursors.move(tx, dag.dag_pk, last, following, since)
        return _Turn(len(due.ticks), len(due.ticks) * len(dag.spec.tasks))

    def _timetable(self, dag: DagRow) -> DagTimetable:
        """Return the timetable of a version; parsing an expression takes longer than asking it."""
        timetable = self._timetables.get(dag.version_id)
        if timetable is None:
            timetable = self._timetables[dag.version_id] = self._context.plugins.timetable_of(dag.spec)
            if len(self._timetables) > TIMETABLES:
                self._timetables.popitem(last=False)
        return timetable


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one DAG got in a batch."""

    runs: int
    tasks: int


_NOTHING = _Turn(0, 0)


def _text(tick_at: int | None) -> str:
    return "no tick" if tick_at is None else from_micros(tick_at).isoformat()
