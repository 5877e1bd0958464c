"""Backfills in the scheduler: their runs are made as others end, never more at once than they may have."""

import logging
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from orch.clock import from_micros
from orch.domain.backfills import BackfillDate, BackfillState, Outcome, outcome_of, remaining_dates
from orch.failpoints import FailpointError
from orch.scheduler.context import SchedulerContext
from orch.store.engine import TRANSIENT, Tx
from orch.store.queries import backfill_dates, backfills, run_creation
from orch.store.queries.backfills import BackfillRow
from orch.store.queries.run_creation import DagRow, NewRun

log = logging.getLogger("orch.scheduler")

RUNS_PER_TRANSACTION = 20
TASKS_PER_TRANSACTION = 500
"""At least one run is made, however large."""
DATES_PER_TRANSACTION = 500
"""Of which most have runs already and are passed over."""

Turn = tuple[datetime, Outcome, int | None]
"""A date, what became of it, and the run that was made or stood in the way."""


def advance_backfills(context: SchedulerContext) -> int:
    """Make the next runs of the backfills that have room and complete those that are through; return how much moved.

    One that raises is left out. A scheduler with a scope makes none: it works on those that are there.
    """
    if context.scope is not None:
        return 0
    with context.store.read() as tx:
        due = backfills.due(tx)
    return sum(_advance_guarded(context, backfill_id) for backfill_id in due)


def _advance_guarded(context: SchedulerContext, backfill_id: int) -> int:
    try:
        with context.store.write("backfill") as tx:
            return _advance(context, tx, backfill_id)
    except (*TRANSIENT, FailpointError):
        raise
    except Exception:  # a timetable may be a plugin's, and a value may be one that the database refuses
        log.exception("backfill %d cannot go on now", backfill_id)
        return 0


def _advance(context: SchedulerContext, tx: Tx, backfill_id: int) -> int:
    row = backfills.find(tx, backfill_id)
    if row is None or backfill_id not in backfills.due(tx):
        return 0  # somebody was here since the look that needed no lock
    return _complete(tx, row) if row.is_exhausted else _deal(context, tx, row)


def _complete(tx: Tx, row: BackfillRow) -> int:
    if not backfills.move(tx, row, BackfillState.COMPLETED):
        return 0
    dealt_with = backfill_dates.progress(tx, row.backfill_id).dealt_with
    if dealt_with == row.dates:
        log.info("backfill %d of DAG %s is completed", row.backfill_id, row.dag_id)
    else:
        log.error(
            "backfill %d of DAG %s was made of %d dates, and its schedule has %d of them now: it ends with those;"
            " `orch db verify` reports it, and another backfill can make up for the rest",
            row.backfill_id, row.dag_id, row.dates, dealt_with,
        )  # fmt: skip
    return 1


def _deal(context: SchedulerContext, tx: Tx, row: BackfillRow) -> int:
    """Give the next dates their turn; runs, dates and position are one transaction."""
    dag = run_creation.find_dag(tx, row.dag_id, context.specs.get)
    if dag is None:
        return 0
    turns = list(islice(_turns(context, tx, row, dag), DATES_PER_TRANSACTION))
    if not turns:
        end = row.first if row.backwards else row.last  # the timetable is another one than it was
        backfills.set_position(tx, row.backfill_id, end)
        return 1
    backfill_dates.note(tx, row.backfill_id, turns)
    last_date, _, _ = turns[-1]
    backfills.set_position(tx, row.backfill_id, last_date)
    return len(turns)


def _turns(context: SchedulerContext, tx: Tx, row: BackfillRow, dag: DagRow) -> Iterator[Turn]:
    """Yield date, outcome and run of the next dates until there is room for no further run."""
    room = row.max_active_runs - backfills.open_runs(tx, row.backfill_id)
    room = min(room, RUNS_PER_TRANSACTION, max(1, TASKS_PER_TRANSACTION // max(1, len(dag.spec.tasks))))
    timetable = context.plugins.timetable_of(context.specs.get(tx, row.dag_version_id))
    for date in remaining_dates(timetable, row.span, row.position, backwards=row.backwards):
        newest = backfill_dates.newest_run(tx, row.dag_pk, date.logical_date)
        outcome = outcome_of(row.reprocess, None if newest is None else newest.state)
        if outcome is not Outcome.CREATED:
            yield date.logical_date, outcome, None if newest is None else newest.run_pk
        elif room == 0:
            return
        else:
            room -= 1
            yield date.logical_date, outcome, _make_run(context, tx, row, dag, date)


def _make_run(context: SchedulerContext, tx: Tx, row: BackfillRow, dag: DagRow, date: BackfillDate) -> int:
    """Make the run of a date, of the DAG as it is now."""
    new = NewRun(
        dag_id=dag.dag_id,
        run_id=f"backfill__{row.backfill_id}__{date.logical_date.isoformat()}",
        run_type="backfill",
        run_after=from_micros(tx.now),
        logical_date=date.logical_date,
        data_interval=date.interval,
        conf=row.conf,
        triggered_by=row.created_by,
        backfill_id=row.backfill_id,
    )
    made = run_creation.create_run(tx, dag, new, default_executor=context.default_executor, by=context.by)
    return made.run_pk
