"""Creation of scheduled runs: each tick of a timetable becomes one run; run and cursor move together."""

import logging
from datetime import datetime

from orch.clock import from_micros, to_micros
from orch.domain.dagspec import DagSpec
from orch.domain.timetables import Timetable, timetable_of
from orch.errors import StoreError
from orch.failpoints import FailpointError
from orch.scheduler.context import SchedulerContext
from orch.store.engine import Tx
from orch.store.queries import cursors, runs
from orch.store.queries.cursors import CursorRow
from orch.store.queries.runs import NewRun

log = logging.getLogger("orch.scheduler")

RUNS_PER_TRANSACTION = 20


def create_runs(context: SchedulerContext) -> int:
    """Create the runs whose ticks have come; return how many. A DAG whose schedule is broken is left out."""
    if context.scope is not None:
        return 0
    with context.store.read() as tx:
        due = cursors.due(tx)
    return sum(_create_guarded(context, dag_pk) for dag_pk in due)


def _create_guarded(context: SchedulerContext, dag_pk: int) -> int:
    """Create for one DAG; one that cannot be scheduled is logged and never stops the others."""
    try:
        with context.store.write("create_run") as tx:
            return _create_for(context, tx, dag_pk)
    except (StoreError, FailpointError):
        raise
    except Exception:  # a timetable may be a plugin's
        log.exception("DAG %d: its scheduled run cannot be created", dag_pk)
        return 0


def _create_for(context: SchedulerContext, tx: Tx, dag_pk: int) -> int:
    cursor = cursors.get(tx, dag_pk)
    if cursor is None or cursor.next_tick_at is None or cursor.next_tick_at > tx.now:
        return 0
    dag = runs.find_dag(tx, cursor.dag_id)
    if dag is None:
        return 0
    timetable = timetable_of(dag.spec)
    now = from_micros(tx.now)
    ticks, following = _ticks(timetable, dag.spec, cursor, now)
    for tick in ticks:
        new = NewRun(
            dag_id=dag.dag_id,
            run_id=f"scheduled__{tick.isoformat()}",
            run_type="scheduled",
            run_after=tick,
            logical_date=tick,
            data_interval=(tick, tick),
            triggered_by="timetable",
        )
        runs.create_run(tx, dag, new, default_executor=context.default_executor, by=context.by)
    last = to_micros(ticks[-1]) if ticks else cursor.last_tick_at
    cursors.move(tx, dag_pk, last, None if following is None else to_micros(following))
    return len(ticks)


def _ticks(
    timetable: Timetable, spec: DagSpec, cursor: CursorRow, now: datetime
) -> tuple[list[datetime], datetime | None]:
    """Return the ticks to create now and the one after them.

    A cursor at `cursors.UNKNOWN` belongs to a new or changed schedule: it starts at the start date when the
    DAG catches up, and now when it does not. Without catch-up only the latest missed tick is made up for.
    """
    if cursor.next_tick_at == cursors.UNKNOWN:
        last = None if cursor.last_tick_at is None else from_micros(cursor.last_tick_at)
        tick = timetable.first(now, last, catchup=spec.catchup)
    else:
        tick = from_micros(cursor.next_tick_at or 0)
    if not spec.catchup and tick is not None and tick <= now:
        tick = timetable.latest(now) or tick
    ticks: list[datetime] = []
    while tick is not None and tick <= now and len(ticks) < RUNS_PER_TRANSACTION:
        ticks.append(tick)
        tick = timetable.next_after(tick)
    return ticks, tick
