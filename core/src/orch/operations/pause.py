"""Pause: stop a DAG from starting anything new, and let it go on; what runs already goes on in both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orch.clock import from_micros
from orch.domain.dagspec import DagSpec
from orch.domain.jitter import offset_of
from orch.domain.ticks import due_ticks
from orch.domain.timetables import DagTimetable, timetable_of
from orch.domain.timetables.continuous import REST
from orch.errors import OrchError
from orch.operations.actor import Actor
from orch.operations.perform import Done, Order, Services, perform
from orch.store.engine import Tx
from orch.store.queries import cursors, pauses, reading, run_creation

MOST_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class DueRun:
    """A run that is made as soon as its DAG is unpaused."""

    logical_date: datetime
    run_after: datetime
    """When it may begin: its tick, and the jitter of the DAG."""


@dataclass(frozen=True, slots=True)
class PauseResult:
    """What became of the DAG."""

    dag_id: str
    is_paused: bool
    changed: bool
    """False when it was so before."""
    due: Sequence[DueRun] = ()
    """The runs that an unpaused DAG gets at once, oldest first, at most 1,000."""
    schedule_error: str | None = None
    """Why nobody can say which those are; the DAG gets none until that is mended."""


def pause(services: Services, actor: Actor, dag_id: str) -> PauseResult:
    """From now on no scheduled run is made and nothing is queued; NotFound for an unknown DAG."""
    return _set(services, actor, dag_id, is_paused=True)


def unpause(services: Services, actor: Actor, dag_id: str) -> PauseResult:
    """Let it go on; the result names the runs that are due at once."""
    return _set(services, actor, dag_id, is_paused=False)


def due_when_unpaused(
    tx: Tx, dag_id: str, timetable_of: Callable[[DagSpec], DagTimetable] = timetable_of
) -> tuple[DueRun, ...]:
    """Return the runs that are due now, as an unpaused DAG gets them; nothing is written."""
    reading.find_dag(tx, dag_id)
    dag = run_creation.find_dag(tx, dag_id)
    cursor = None if dag is None else cursors.of_any(tx, dag.dag_pk)
    if dag is None or cursor is None or not cursors.may_follow(tx, dag.dag_pk):
        return ()
    timetable = timetable_of(dag.spec)
    now = from_micros(tx.now)
    due = due_ticks(timetable, cursor, now, catchup=dag.spec.catchup, most=MOST_SHOWN)
    ticks = due.ticks
    if not ticks and timetable.follows_end and due.following is not None and due.following <= now + REST:
        ticks = (due.following,)  # the rest between two runs is no wait that anybody would notice
    later = offset_of(dag_id, timedelta(seconds=dag.spec.jitter_seconds))
    return tuple(DueRun(timetable.logical_date(tick), tick + later) for tick in ticks)


def _set(services: Services, actor: Actor, dag_id: str, *, is_paused: bool) -> PauseResult:
    action = "dag.pause" if is_paused else "dag.unpause"

    def act(tx: Tx) -> Done[PauseResult]:
        row = reading.find_dag(tx, dag_id)
        due, error = ((), None) if is_paused else _preview(services, tx, dag_id)
        changed = pauses.set_paused(tx, row.dag_pk, dag_id, is_paused=is_paused)
        return Done(PauseResult(dag_id, is_paused, changed, due, error), {"changed": changed})

    return perform(services, Order(actor, action, dag_id, "pause"), act)


def _preview(services: Services, tx: Tx, dag_id: str) -> tuple[tuple[DueRun, ...], str | None]:
    """A schedule that cannot be read is no reason to leave a DAG paused: there may be runs by hand."""
    try:
        return due_when_unpaused(tx, dag_id, services.timetable_of), None
    except OrchError as error:
        return (), str(error)
