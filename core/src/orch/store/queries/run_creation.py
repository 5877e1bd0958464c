"""Creation of dag runs: a run and its task instances in one transaction, insert-or-get."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orch.clock import to_micros
from orch.domain.ageing import head_start
from orch.domain.dagspec import DagSpec
from orch.errors import BadInput, Conflict
from orch.store.engine import Tx
from orch.store.queries.lanes import lane_of
from orch.store.queries.limit_sizes import ageing_seconds
from orch.store.queries.runs import spec_of_version
from orch.store.queries.transitions import By


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
    backfill_id: int | None = None
    """The backfill that makes it; its run type is `backfill` then."""


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
    bundle_id: int | None = None
    """The stored state of the dags folder that its new runs run; None means the files as they are."""


def find_dag(tx: Tx, dag_id: str, read_spec: Callable[[Tx, int], DagSpec] = spec_of_version) -> DagRow | None:
    """Return a DAG with its current version, or None when it is unknown; `read_spec` may remember versions."""
    rows = tx.rows(
        "SELECT id, dag_id, current_version_id, source_rev, bundle_id FROM dag WHERE dag_id = ?", (dag_id,)
    )
    if not rows or rows[0][2] is None:
        return None
    dag_pk, name, version_id, source_rev, bundle_id = rows[0]
    return DagRow(dag_pk, name, version_id, source_rev, read_spec(tx, version_id), bundle_id)


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
          reason, created_at, triggered_by, note, backfill_id, bundle_id)
        VALUES (?, ?, ?, ?, 'queued', 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        [
            (dag.dag_pk, dag.dag_id, new.run_id, new.run_type, dag.version_id, dag.source_rev,
             _micros(new.logical_date), _micros(start), _micros(end), to_micros(new.run_after),
             _conf_text(new), new.idem_key, body, to_micros(new.run_after),
             "run_after" if to_micros(new.run_after) > tx.now else "run_queued", tx.now, new.triggered_by, new.note,
             new.backfill_id, dag.bundle_id)
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
    rows = tx.rows("SELECT id, run_id FROM dag_run WHERE dag_pk = ? AND run_id = ?", (dag.dag_pk, new.run_id))
    rows = rows or tx.rows(
        "SELECT id, run_id FROM dag_run WHERE dag_pk = ? AND run_type = ? AND logical_date = ?"
        " AND run_type NOT IN ('manual', 'backfill')",  # word for word the condition of the unique index
        (dag.dag_pk, new.run_type, _micros(new.logical_date)),
    )
    if not rows:
        return None
    run_pk, run_id = rows[0]
    if new.run_type == "manual":
        raise Conflict(f"run {run_id!r} of DAG {dag.dag_id!r} exists already; choose another --run-id")
    return CreatedRun(run_pk, dag.dag_id, run_id, created=False)


def _insert_tasks(tx: Tx, dag: DagRow, run_pk: int, default_executor: str) -> None:
    ageing = ageing_seconds(tx)
    tasks = map(dag.spec.by_id.__getitem__, dag.spec.graph.topological_order())
    rows = [(task, task.priority_weight if task.priority is None else task.priority) for task in tasks]
    tx.many(
        """
        INSERT INTO task_instance (run_pk, dag_pk, task_id, map_index, state, max_tries, dag_version_id,
          source_rev, pool, slots, priority, head_start, lane, executor, queue, reason, state_since)
        VALUES (?, ?, ?, -1, 'none', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        [
            (run_pk, dag.dag_pk, task.task_id, task.retry.retries + 1, dag.version_id, dag.source_rev,
             task.pool, task.pool_slots, priority, head_start(priority, ageing), lane_of(task, priority, run_pk),
             task.executor or default_executor, task.queue,
             "upstream_not_done" if task.upstream else "not_evaluated", tx.now)
            for task, priority in rows
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
