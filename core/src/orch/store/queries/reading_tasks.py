"""Reads of the task instances of one run: their states, attempts and return values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orch.clock import from_micros
from orch.domain.states import TERMINAL
from orch.errors import NotFound, nearest
from orch.store.queries.reading import RunRow, moment
from orch.store.reader import ReadTx, marks


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


def list_task_instances(tx: ReadTx, run_pk: int) -> list[TaskInstanceRow]:
    """Return the task instances of a run in the order they were created."""
    return [_task_row(row) for row in tx.rows(f"{_TASKS} WHERE run_pk = ? ORDER BY id", (run_pk,))]


def require_task(tx: ReadTx, run: RunRow, task_id: str) -> list[TaskInstanceRow]:
    """Return the task instances of one task of a run; NotFound offers the nearest task id."""
    rows = tx.rows(f"{_TASKS} WHERE run_pk = ? AND task_id = ? ORDER BY map_index", (run.run_pk, task_id))
    if rows:
        return [_task_row(row) for row in rows]
    known = tx.rows("SELECT DISTINCT task_id FROM task_instance WHERE run_pk = ?", (run.run_pk,))
    hint = nearest(task_id, [name for (name,) in known])
    hint = hint or f"; `orch status {run.dag_id} {run.run_id}` shows its tasks"
    raise NotFound(f"run {run.run_id!r} of DAG {run.dag_id!r} has no task {task_id!r}{hint}")


def find_task_instance(
    tx: ReadTx, run: RunRow, task_id: str, map_index: int | None = None
) -> TaskInstanceRow:
    """Return one task instance of a run; without `map_index` the task must not be mapped."""
    rows = require_task(tx, run, task_id)
    for row in rows:
        if row.map_index == map_index or (map_index is None and len(rows) == 1):
            return row
    if rows[0].map_index < 0:
        raise NotFound(f"task {task_id!r} is not mapped; leave --map-index out")
    there = f"{rows[0].map_index} to {rows[-1].map_index}"
    raise NotFound(f"task {task_id!r} has the map indexes {there}; name one of them with --map-index")


def has_ended(tx: ReadTx, ti_id: int) -> bool:
    """Return whether a task instance is in a state that is an end."""
    ((state,),) = tx.rows("SELECT state FROM task_instance WHERE id = ?", (ti_id,))
    return state in TERMINAL


def list_attempts(tx: ReadTx, ti_id: int) -> list[AttemptRow]:
    """Return the attempts of a task instance, oldest first."""
    rows = tx.rows(
        """
        SELECT epoch, try_number, holder, claimed_at, started_at, ended_at, outcome, error, exit, log_path
        FROM attempt WHERE ti_id = ? ORDER BY epoch
        """,
        (ti_id,),
    )
    return [
        AttemptRow(
            epoch=epoch,
            try_number=try_number,
            holder=holder,
            claimed_at=from_micros(claimed),
            started_at=moment(started),
            ended_at=moment(ended),
            outcome=outcome,
            error=error,
            exit=exit_text,
            log_path=log_path,
        )
        for epoch, try_number, holder, claimed, started, ended, outcome, error, exit_text, log_path in rows
    ]


def return_values(tx: ReadTx, run_pk: int, task_ids: Sequence[str]) -> dict[tuple[str, int], str]:
    """Return the stored return values of the given tasks as JSON text, by (task id, map index)."""
    rows = tx.rows(
        f"""
        SELECT task_id, map_index, value FROM xcom
        WHERE run_pk = ? AND key = 'return_value' AND task_id IN ({marks(task_ids)}) ORDER BY task_id, map_index
        """,
        (run_pk, *task_ids),
    )
    return {(task_id, map_index): value for task_id, map_index, value in rows}


_TASKS = """
SELECT id, task_id, map_index, state, try_number, max_tries, epoch, reason, reason_detail, state_since, due_at,
  started_at, ended_at, pool, executor
FROM task_instance
"""


def _task_row(row: tuple[Any, ...]) -> TaskInstanceRow:
    ti_id, task_id, map_index, state, try_number, max_tries, epoch, reason, detail, *rest = row
    since, due, started, ended, pool, executor = rest
    return TaskInstanceRow(
        ti_id=ti_id,
        task_id=task_id,
        map_index=map_index,
        state=state,
        try_number=try_number,
        max_tries=max_tries,
        epoch=epoch,
        reason=reason,
        reason_detail=detail,
        state_since=from_micros(since),
        due_at=moment(due),
        started_at=moment(started),
        ended_at=moment(ended),
        pool=pool,
        executor=executor,
    )
