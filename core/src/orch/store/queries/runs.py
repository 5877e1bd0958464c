"""Dag runs: their creation, what makes one due, and the rows a run view is built from."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orch.clock import from_micros, to_micros
from orch.domain.dagspec import DagSpec
from orch.domain.run_view import TaskFacts
from orch.domain.states import RunState
from orch.errors import BadInput, Conflict
from orch.store.engine import Tx
from orch.store.queries.transitions import TASK_COLUMNS, By, TaskRow, task_row


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be made."""

    dag_id: str
    run_id: str
    run_type: str
    run_after: datetime
    logical_date: datetime | None = None
    data_interval: tuple[datetime, datetime] | None = None
    conf: Mapping[str, Any] = field(default_factory=dict)
    idem_key: str | None = None
    triggered_by: str = ""
    note: str | None = None


@dataclass(frozen=True, slots=True)
class CreatedRun:
    """The run that exists now; `created` is False when it existed before."""

    run_pk: int
    dag_id: str
    run_id: str
    created: bool


@dataclass(frozen=True, slots=True)
class DagRow:
    """What creating a run needs of its DAG."""

    dag_pk: int
    dag_id: str
    version_id: int
    source_rev: str
    spec: DagSpec


def find_dag(tx: Tx, dag_id: str) -> DagRow | None:
    """Return a DAG with its current version, or None when it is unknown."""
    rows = tx.rows(
        """
        SELECT d.id, d.dag_id, v.id, d.source_rev, v.structure FROM dag d
        JOIN dag_version v ON v.id = d.current_version_id WHERE d.dag_id = ?
        """,
        (dag_id,),
    )
    if not rows:
        return None
    dag_pk, name, version_id, source_rev, structure = rows[0]
    return DagRow(dag_pk, name, version_id, source_rev, DagSpec.from_json(structure))


def create_run(tx: Tx, dag: DagRow, new: NewRun, *, default_executor: str, by: By) -> CreatedRun:
    """Create a run and its task instances, or return the one that a repeated request means.

    The same idempotency key with the same body gives the first run; with another body, or a run id that is
    taken, it is a Conflict. A scheduled run whose logical date exists already is returned as it is.
    """
    body = _body_hash(new)
    if (existing := _existing(tx, dag, new, body)) is not None:
        return existing
    start, end = new.data_interval or (None, None)
    tx.many(
        """
        INSERT INTO dag_run (dag_pk, dag_id, run_id, run_type, state, version, dag_version_id, source_rev,
          logical_date, data_interval_start, data_interval_end, run_after, conf, idem_key, body_hash, due_at,
          reason, created_at, triggered_by, note)
        VALUES (?, ?, ?, ?, 'queued', 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'run_queued', ?, ?, ?)
        """,
        [
            (dag.dag_pk, dag.dag_id, new.run_id, new.run_type, dag.version_id, dag.source_rev,
             _micros(new.logical_date), _micros(start), _micros(end), to_micros(new.run_after),
             _conf_text(new), new.idem_key, body, to_micros(new.run_after), tx.now, new.triggered_by, new.note)
        ],
    )  # fmt: skip
    ((run_pk,),) = tx.rows("SELECT id FROM dag_run WHERE dag_pk = ? AND run_id = ?", (dag.dag_pk, new.run_id))
    _insert_tasks(tx, dag, run_pk, default_executor)
    tx.many(
        "INSERT INTO run_history (run_pk, old, new, actor, actor_id, reason, at) VALUES (?, '', 'queued', ?, ?, ?, ?)",
        [(run_pk, by.actor, by.id, new.run_type, tx.now)],
    )
    return CreatedRun(run_pk, dag.dag_id, new.run_id, created=True)


def _existing(tx: Tx, dag: DagRow, new: NewRun, body: str) -> CreatedRun | None:
    if new.idem_key is not None:
        rows = tx.rows(
            "SELECT id, run_id, body_hash FROM dag_run WHERE dag_pk = ? AND idem_key = ?",
            (dag.dag_pk, new.idem_key),
        )
        if rows:
            run_pk, run_id, known = rows[0]
            if known != body:
                raise Conflict(
                    f"idempotency key {new.idem_key!r} of DAG {dag.dag_id!r} made run {run_id!r} from another"
                    " request; use a new key for a new request"
                )
            return CreatedRun(run_pk, dag.dag_id, run_id, created=False)
    rows = tx.rows(
        "SELECT id, run_id, run_type FROM dag_run WHERE dag_pk = ? AND (run_id = ? OR"
        " (run_type <> 'manual' AND run_type = ? AND logical_date = ?))",
        (dag.dag_pk, new.run_id, new.run_type, _micros(new.logical_date)),
    )
    if not rows:
        return None
    run_pk, run_id, _ = rows[0]
    if new.run_type == "manual":
        raise Conflict(f"run {run_id!r} of DAG {dag.dag_id!r} exists already; choose another --run-id")
    return CreatedRun(run_pk, dag.dag_id, run_id, created=False)


def _insert_tasks(tx: Tx, dag: DagRow, run_pk: int, default_executor: str) -> None:
    tx.many(
        """
        INSERT INTO task_instance (run_pk, dag_pk, task_id, map_index, state, max_tries, dag_version_id,
          source_rev, pool, slots, priority, executor, queue, reason, state_since)
        VALUES (?, ?, ?, -1, 'none', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        [
            (run_pk, dag.dag_pk, task.task_id, task.retry.retries + 1, dag.version_id, dag.source_rev,
             task.pool, task.pool_slots, task.priority_weight, task.executor or default_executor, task.queue,
             "upstream_not_done" if task.upstream else "not_evaluated", tx.now)
            for task in map(dag.spec.by_id.__getitem__, dag.spec.graph.topological_order())
        ],
    )  # fmt: skip


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def _conf_text(new: NewRun) -> str:
    try:
        return json.dumps(dict(new.conf), allow_nan=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"conf of run {new.run_id!r} is not plain JSON: {error}") from error


def _body_hash(new: NewRun) -> str:
    logical_date = new.logical_date and new.logical_date.isoformat()
    return hashlib.sha256(json.dumps([_conf_text(new), logical_date, new.note]).encode()).hexdigest()


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


_RUN_COLUMNS = "r.id, r.dag_pk, r.dag_id, r.run_id, r.state, r.version, r.dag_version_id, r.due_at"


def _run_row(values: tuple[Any, ...]) -> RunRow:
    return RunRow(*values[:4], RunState(values[4]), *values[5:])  # type: ignore[call-arg]  # columns in order


def promotable(tx: Tx, most: int, dag_pk: int | None = None) -> list[RunRow]:
    """Return queued runs that have room, per DAG the oldest: none of a paused DAG or of one at its limit."""
    rows = tx.rows(
        f"""
        SELECT {_RUN_COLUMNS} FROM ({_QUEUED}) q JOIN dag_run r ON r.id = q.id
        WHERE q.size < 0 OR q.place <= q.size - q.running ORDER BY q.place, r.run_after, r.id LIMIT ?
        """,
        (tx.now, dag_pk, most),
    )
    return [_run_row(row) for row in rows]


def without_room(tx: Tx, most: int, dag_pk: int | None = None) -> list[int]:
    """Return queued runs that wait for another run of their DAG to end and do not say so yet."""
    rows = tx.rows(
        f"""
        SELECT r.id FROM ({_QUEUED}) q JOIN dag_run r ON r.id = q.id
        WHERE q.size >= 0 AND q.place > q.size - q.running AND r.reason IS NOT 'max_active_runs' LIMIT ?
        """,
        (tx.now, dag_pk, most),
    )
    return [run_pk for (run_pk,) in rows]


_QUEUED = """
SELECT r.id, ROW_NUMBER() OVER (PARTITION BY r.dag_pk ORDER BY r.run_after, r.id) AS place,
  COALESCE((SELECT size FROM limit_row l WHERE l.kind = 'dag_runs' AND l.name = r.dag_id), -1) AS size,
  (SELECT COUNT(*) FROM dag_run o WHERE o.dag_pk = r.dag_pk AND o.state = 'running') AS running
FROM dag_run r JOIN dag d ON d.id = r.dag_pk
WHERE r.state = 'queued' AND r.run_after <= ? AND NOT d.is_paused AND r.dag_pk = COALESCE(?, r.dag_pk)
"""
"""Each queued run with its place among those of its DAG, and what its DAG allows and has."""


def set_run_reason(tx: Tx, run_pk: int, reason: str) -> None:
    """Store why a queued run is not promoted."""
    tx.many(
        "UPDATE dag_run SET reason = ? WHERE id = ? AND (reason IS NULL OR reason <> ?)",
        [(reason, run_pk, reason)],
    )


def due_runs(tx: Tx, most: int, dag_pk: int | None = None, without: Sequence[int] = ()) -> list[RunRow]:
    """Return running runs that are due: wake-ups name them, or their timer is over."""
    marks = ",".join("?" * len(without))
    rows = tx.rows(
        f"""
        SELECT {_RUN_COLUMNS} FROM dag_run r
        WHERE r.id IN (SELECT run_pk FROM wakeup UNION SELECT id FROM dag_run WHERE state = 'running' AND due_at <= ?)
          AND r.state = 'running' AND r.dag_pk = COALESCE(?, r.dag_pk) AND r.id NOT IN ({marks})
        ORDER BY r.id LIMIT ?
        """,
        (tx.now, dag_pk, *without, most),
    )
    return [_run_row(row) for row in rows]


def work_waits(tx: Tx, dag_pk: int | None = None) -> bool:
    """Return whether a run is due or a task instance waits for admission; a read before a write transaction."""
    if dag_pk is None and tx.rows("SELECT 1 FROM wakeup LIMIT 1"):
        return True
    if due_runs(tx, 1, dag_pk):
        return True
    waits = "SELECT 1 FROM task_instance WHERE state = 'scheduled' AND dag_pk = COALESCE(?, dag_pk) LIMIT 1"
    return bool(tx.rows(waits, (dag_pk,)))


def dag_of_run(tx: Tx, run_pk: int) -> int:
    """Return the DAG of a run."""
    ((dag_pk,),) = tx.rows("SELECT dag_pk FROM dag_run WHERE id = ?", (run_pk,))
    return int(dag_pk)


def queued_scheduled(tx: Tx, dag_pk: int) -> int:
    """Return how many scheduled runs of a DAG wait for promotion."""
    ((count,),) = tx.rows(
        "SELECT COUNT(*) FROM dag_run WHERE dag_pk = ? AND state = 'queued' AND run_type = 'scheduled'",
        (dag_pk,),
    )
    return int(count)


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
    return TaskFacts(row.id, row.task_id, row.map_index, row.state, due_at)


def spec_of_version(tx: Tx, version_id: int) -> DagSpec:
    """Return the serialised DAG of a version."""
    ((structure,),) = tx.rows("SELECT structure FROM dag_version WHERE id = ?", (version_id,))
    return DagSpec.from_json(structure)


def names_of_runs(tx: Tx, run_pks: Collection[int]) -> dict[int, RunRow]:
    """Return the rows of these runs."""
    found = {}
    for run_pk in run_pks:
        for row in tx.rows(f"SELECT {_RUN_COLUMNS} FROM dag_run r WHERE r.id = ?", (run_pk,)):
            found[run_pk] = _run_row(row)
    return found


def queues_of(tx: Tx, ids: Sequence[int]) -> dict[int, str]:
    """Return the queue that each of these task instances asks for."""
    found: dict[int, str] = {}
    for start in range(0, len(ids), 500):
        part = tuple(ids[start : start + 500])
        marks = ",".join("?" * len(part))
        found.update(tx.rows(f"SELECT id, queue FROM task_instance WHERE id IN ({marks})", part))
    return found
