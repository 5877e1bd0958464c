"""Creation of scheduled runs: each tick of a timetable becomes one run; run and cursor move together."""

import logging

from orch.clock import from_micros, to_micros
from orch.domain.ticks import due_ticks
from orch.domain.timetables import timetable_of
from orch.errors import StoreError
from orch.failpoints import FailpointError
from orch.scheduler.context import SchedulerContext
from orch.store.engine import Tx
from orch.store.queries import cursors, promotion, run_creation
from orch.store.queries.run_creation import NewRun

log = logging.getLogger("orch.scheduler")

RUNS_PER_TRANSACTION = 20
MOST_QUEUED = 100
"""A DAG with so many scheduled runs that have not begun gets no more: ten years of catch-up come bit by bit."""


def create_runs(context: SchedulerContext) -> int:
    """Create the runs whose ticks have come; return how many. A DAG whose schedule is broken is left out."""
    if context.scope is not None:
        return 0
    with context.store.read() as tx:
        due = cursors.due(tx, MOST_QUEUED)
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
    dag = run_creation.find_dag(tx, cursor.dag_id)
    if dag is None:
        return 0
    now = from_micros(tx.now)
    position = cursors.as_cursor(cursor.last_tick_at, cursor.next_tick_at)
    most = min(RUNS_PER_TRANSACTION, MOST_QUEUED - promotion.queued_scheduled(tx, dag_pk))
    due = due_ticks(timetable_of(dag.spec), position, now, catchup=dag.spec.catchup, most=most)
    for tick in due.ticks:
        new = NewRun(
            dag_id=dag.dag_id,
            run_id=f"scheduled__{tick.isoformat()}",
            run_type="scheduled",
            run_after=tick,
            logical_date=tick,
            data_interval=(tick, tick),
            triggered_by="timetable",
        )
        run_creation.create_run(tx, dag, new, default_executor=context.default_executor, by=context.by)
    last = to_micros(due.ticks[-1]) if due.ticks else cursor.last_tick_at
    cursors.move(tx, dag_pk, last, None if due.following is None else to_micros(due.following))
    return len(due.ticks)
