"""Reads of the task instances of one run: their states, attempts and return values."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orch.clock import from_micros
from orch.domain.states import TERMINAL
from orch.errors import NotFound, nearest
from orch.store.engine import Tx
from orch.store.queries.reading import RunRow, moment
from orch.store.tables import attempt, task_instance, xcom


@dataclass(frozen=True, slots=True)
class TaskInstanceRow:
    """One task instance of a run."""

    ti_id: int
    task_id: str
    map_index: int
    state: str
    try_number: int
    max_tries: int
    epoch: int
    reason: str | None
    reason_detail: str | None
    state_since: datetime
    due_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    pool: str
    executor: str


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One start of a task instance on a worker."""

    epoch: int
    try_number: int
    holder: str
    claimed_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    """None while it is open."""
    error: str | None
    exit: str | None
    log_path: str | None


def list_task_instances(tx: Tx, run_pk: int) -> list[TaskInstanceRow]:
    """Return the task instances of a run in the order they were created."""
    statement = _TASKS.where(task_instance.c.run_pk == run_pk).order_by(task_instance.c.id)
    return [_task_row(row) for row in tx.conn.execute(statement)]


def require_task(tx: Tx, run: RunRow, task_id: str) -> list[TaskInstanceRow]:
    """Return the task instances of one task of a run; NotFound offers the nearest task id."""
    statement = _TASKS.where(task_instance.c.run_pk == run.run_pk, task_instance.c.task_id == task_id)
    rows = [_task_row(row) for row in tx.conn.execute(statement.order_by(task_instance.c.map_index))]
    if rows:
        return rows
    known = sa.select(task_instance.c.task_id).where(task_instance.c.run_pk == run.run_pk).distinct()
    hint = nearest(task_id, tx.conn.execute(known).scalars())
    hint = hint or f"; `orch status {run.dag_id} {run.run_id}` shows its tasks"
    raise NotFound(f"run {run.run_id!r} of DAG {run.dag_id!r} has no task {task_id!r}{hint}")


def find_task_instance(tx: Tx, run: RunRow, task_id: str, map_index: int | None = None) -> TaskInstanceRow:
    """Return one task instance of a run; without `map_index` the task must not be mapped."""
    rows = require_task(tx, run, task_id)
    for row in rows:
        if row.map_index == map_index or (map_index is None and len(rows) == 1):
            return row
    if rows[0].map_index < 0:
        raise NotFound(f"task {task_id!r} is not mapped; leave --map-index out")
    there = f"{rows[0].map_index} to {rows[-1].map_index}"
    raise NotFound(f"task {task_id!r} has the map indexes {there}; name one of them with --map-index")


def has_ended(tx: Tx, ti_id: int) -> bool:
    """Return whether a task instance is in a state that is an end."""
    state = tx.conn.execute(sa.select(task_instance.c.state).where(task_instance.c.id == ti_id)).scalar_one()
    return state in TERMINAL


def list_attempts(tx: Tx, ti_id: int) -> list[AttemptRow]:
    """Return the attempts of a task instance, oldest first."""
    statement = sa.select(attempt).where(attempt.c.ti_id == ti_id).order_by(attempt.c.epoch)
    return [_attempt_row(row) for row in tx.conn.execute(statement)]


def return_values(tx: Tx, run_pk: int, task_ids: Iterable[str]) -> dict[tuple[str, int], str]:
    """Return the stored return values of the given tasks as JSON text, by (task id, map index)."""
    statement = sa.select(xcom.c.task_id, xcom.c.map_index, xcom.c.value).where(
        xcom.c.run_pk == run_pk, xcom.c.key == "return_value", xcom.c.task_id.in_(list(task_ids))
    )
    rows = tx.conn.execute(statement.order_by(xcom.c.task_id, xcom.c.map_index))
    return {(row.task_id, row.map_index): row.value for row in rows}


_TASKS = sa.select(task_instance)


def _task_row(row: Any) -> TaskInstanceRow:
    return TaskInstanceRow(
        ti_id=row.id,
        task_id=row.task_id,
        map_index=row.map_index,
        state=row.state,
        try_number=row.try_number,
        max_tries=row.max_tries,
        epoch=row.epoch,
        reason=row.reason,
        reason_detail=row.reason_detail,
        state_since=from_micros(row.state_since),
        due_at=moment(row.due_at),
        started_at=moment(row.started_at),
        ended_at=moment(row.ended_at),
        pool=row.pool,
        executor=row.executor,
    )


def _attempt_row(row: Any) -> AttemptRow:
    return AttemptRow(
        epoch=row.epoch,
        try_number=row.try_number,
        holder=row.holder,
        claimed_at=from_micros(row.claimed_at),
        started_at=moment(row.started_at),
        ended_at=moment(row.ended_at),
        outcome=row.outcome,
        error=row.error,
        exit=row.exit,
        log_path=row.log_path,
    )
