"""Dag runs: what makes one due, and the rows a run view is built from."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from orch.clock import from_micros
from orch.domain.dagspec import DagSpec
from orch.domain.run_view import TaskFacts
from orch.domain.states import RunState
from orch.store.engine import Tx
from orch.store.queries.transitions import TASK_COLUMNS, TaskRow, task_row


@dataclass(frozen=True, slots=True)
class RunRow:
    """What the scheduler reads of a run."""

    run_pk: int
    dag_pk: int
    dag_id: str
    run_id: str
    state: RunState
    version: int
    dag_version_id: int
    due_at: int | None


RUN_COLUMNS = "r.id, r.dag_pk, r.dag_id, r.run_id, r.state, r.version, r.dag_version_id, r.due_at"
"""The columns of a RunRow, in its order, of `dag_run r`."""


def run_row(values: tuple[Any, ...]) -> RunRow:
    """Return the RunRow of a row selected by RUN_COLUMNS."""
    return RunRow(*values[:4], RunState(values[4]), *values[5:])  # type: ignore[call-arg]  # columns in order


def due_runs(tx: Tx, most: int, dag_pk: int | None = None, without: Sequence[int] = ()) -> list[RunRow]:
    """Return running runs that are due: wake-ups name them, or their timer is over."""
    marks = ",".join("?" * len(without))
    rows = tx.rows(
        f"""
        SELECT {RUN_COLUMNS} FROM dag_run r
        WHERE r.id IN (SELECT run_pk FROM wakeup UNION SELECT id FROM dag_run
                       WHERE state = 'running' AND state IN ('queued', 'running') AND due_at <= ?)
          AND r.state = 'running' AND r.dag_pk = COALESCE(?, r.dag_pk) AND r.id NOT IN ({marks})
        ORDER BY r.id LIMIT ?
        """,
        (tx.now, dag_pk, *without, most),
    )
    return [run_row(row) for row in rows]


def work_waits(tx: Tx, dag_pk: int | None = None) -> bool:
    """Return whether a run is due or woken; a read before a write transaction."""
    if dag_pk is None and tx.rows("SELECT 1 FROM wakeup LIMIT 1"):
        return True
    return bool(due_runs(tx, 1, dag_pk))


def dag_of_run(tx: Tx, run_pk: int) -> int:
    """Return the DAG of a run."""
    ((dag_pk,),) = tx.rows("SELECT dag_pk FROM dag_run WHERE id = ?", (run_pk,))
    return int(dag_pk)


def next_due_at(tx: Tx) -> int | None:
    """Return when the next run is due by itself."""
    rows = tx.rows(
        "SELECT MIN(due_at) FROM dag_run WHERE state IN ('queued', 'running') AND due_at > ?", (tx.now,)
    )
    due_at: int | None = rows[0][0]
    return due_at


def take_wakeups(tx: Tx, run_pk: int) -> list[int]:
    """Delete the wake-ups of a run that this transaction sees; return the task instances they name."""
    rows = tx.rows("DELETE FROM wakeup WHERE run_pk = ? RETURNING ti_id", (run_pk,))
    return [ti_id for (ti_id,) in rows if ti_id is not None]


def wake(tx: Tx, entries: Sequence[tuple[int, int | None]]) -> None:
    """Insert wake-ups: (run_pk, ti_id) pairs."""
    tx.many(
        "INSERT INTO wakeup (run_pk, ti_id, created_at) VALUES (?, ?, ?)",
        [(run_pk, ti_id, tx.now) for run_pk, ti_id in entries],
    )


def task_rows(tx: Tx, ids: Sequence[int]) -> list[TaskRow]:
    """Return the rows of these task instances."""
    found: list[TaskRow] = []
    for start in range(0, len(ids), 500):
        part = tuple(ids[start : start + 500])
        marks = ",".join("?" * len(part))
        rows = tx.rows(f"SELECT {TASK_COLUMNS} FROM task_instance WHERE id IN ({marks})", part)
        found.extend(task_row(row) for row in rows)
    return found


def rows_of_run(tx: Tx, run_pk: int) -> list[TaskRow]:
    """Return all task instances of a run in the order of their creation."""
    rows = tx.rows(f"SELECT {TASK_COLUMNS} FROM task_instance WHERE run_pk = ? ORDER BY id", (run_pk,))
    return [task_row(row) for row in rows]


def facts(row: TaskRow) -> TaskFacts:
    """Return what a run view remembers of a row."""
    due_at = None if row.due_at is None else from_micros(row.due_at)
    return TaskFacts(
        row.id, row.task_id, row.map_index, row.state, due_at, row.reason, has_begun=row.try_number > 0
    )


def started_at(tx: Tx, run_pk: int) -> int | None:
    """Return when a run was promoted for the first time; None while it is queued."""
    ((moment,),) = tx.rows("SELECT started_at FROM dag_run WHERE id = ?", (run_pk,))
    return None if moment is None else int(moment)


def spec_of_version(tx: Tx, version_id: int) -> DagSpec:
    """Return the serialised DAG of a version."""
    ((structure,),) = tx.rows("SELECT structure FROM dag_version WHERE id = ?", (version_id,))
    return DagSpec.from_json(structure)


def names_of_runs(tx: Tx, run_pks: Collection[int]) -> dict[int, RunRow]:
    """Return the rows of these runs."""
    found = {}
    for run_pk in run_pks:
        for row in tx.rows(f"SELECT {RUN_COLUMNS} FROM dag_run r WHERE r.id = ?", (run_pk,)):
            found[run_pk] = run_row(row)
    return found


def queues_of(tx: Tx, ids: Sequence[int]) -> dict[int, str]:
    """Return the queue that each of these task instances asks for."""
    found: dict[int, str] = {}
    for start in range(0, len(ids), 500):
        part = tuple(ids[start : start + 500])
        marks = ",".join("?" * len(part))
        found.update(tx.rows(f"SELECT id, queue FROM task_instance WHERE id IN ({marks})", part))
    return found


def executors_of(tx: Tx, ids: Sequence[int]) -> dict[int, str]:
    """Return the executor of each of these task instances."""
    found: dict[int, str] = {}
    for start in range(0, len(ids), 500):
        part = tuple(ids[start : start + 500])
        marks = ",".join("?" * len(part))
        found.update(tx.rows(f"SELECT id, executor FROM task_instance WHERE id IN ({marks})", part))
    return found
