"""Waits for admission: which limit keeps a scheduled task instance waiting, who takes it, and since when."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from orch.clock import from_micros
from orch.domain.limits import UNLIMITED, LimitKey, run_task_limit, size_key, task_limit
from orch.store.queries.admission import plan_admission, used
from orch.store.queries.limit_sizes import task_limits
from orch.store.queries.reading import RunRow
from orch.store.queries.reading_tasks import TaskInstanceRow
from orch.store.reader import ReadTx

_LOOKED_AT = 500
"""Admissions that are tried out to see for whom free slots are kept; as many as a scheduler makes at once."""

_REASONS = {
    "run_task": "run_task_limit",
    "task": "task_limit",
    "dag_tasks": "max_active_tasks",
    "executor": "executor_full",
    "pool": "pool_full",
}
"""By kind of limit, the narrowest first."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """The task instance for which the free slots of a pool are kept."""

    ti_id: int
    since: datetime
    name: str
    """`dag_id run_id task_id`."""


@dataclass(frozen=True, slots=True)
class AdmissionFacts:
    """What the waits of the scheduled task instances of one DAG follow from."""

    sizes: Mapping[LimitKey, int] = field(default_factory=dict)
    taken: Mapping[LimitKey, int] = field(default_factory=dict)
    since: Mapping[LimitKey, datetime] = field(default_factory=dict)
    """Since when somebody waits for a limit."""
    reserved: Mapping[str, Reservation] = field(default_factory=dict)
    """By pool."""


@dataclass(frozen=True, slots=True)
class AdmissionWait:
    """Why a scheduled task instance has no slot yet."""

    reason: str
    since: datetime
    blocking: tuple[str, ...] = ()


def admission_facts(tx: ReadTx, run: RunRow) -> AdmissionFacts:
    """Read what scheduled task instances of this run's DAG may wait for."""
    ((dag_pk, dag_size),) = tx.rows(
        "SELECT d.id, l.size FROM dag d LEFT JOIN limit_row l ON l.kind = 'dag_tasks' AND l.name = d.dag_id"
        " WHERE d.dag_id = ?",
        (run.dag_id,),
    )
    usage = used(tx)
    sizes = usage.sizes | task_limits(tx, run.dag_id)
    if dag_size is not None:
        sizes["dag_tasks", run.dag_id] = dag_size
    since = tx.rows("SELECT kind, name, saturated_since FROM limit_row WHERE saturated_since IS NOT NULL")
    return AdmissionFacts(
        sizes,
        usage.taken | usage.of_dags({dag_pk: run.dag_id}),
        {(kind, name): from_micros(moment) for kind, name, moment in since},
        _reservations(tx),
    )


def why_not_admitted(facts: AdmissionFacts, run: RunRow, task: TaskInstanceRow, slots: int) -> AdmissionWait:
    """Return why a scheduled task instance that needs `slots` of its pool has none."""
    size = facts.sizes.get(("pool", task.pool))
    if size is None:
        return AdmissionWait("pool_missing", task.state_since, (task.pool,))
    if size == 0:
        return AdmissionWait("pool_without_slots", task.state_since, (task.pool,))
    if 0 < size < slots:
        return AdmissionWait("pool_too_small", task.state_since, (task.pool,))
    needs = dict.fromkeys(_own_keys(run, task), 1) | {("pool", task.pool): slots}
    for key, amount in needs.items():
        size = facts.sizes.get(size_key(key), UNLIMITED)
        if size != UNLIMITED and facts.taken.get(key, 0) + amount > size:
            since = facts.since.get(size_key(key), task.state_since)
            return AdmissionWait(_REASONS[key[0]], max(since, task.state_since))
    kept_for = facts.reserved.get(task.pool)
    if kept_for is not None and kept_for.ti_id != task.ti_id:
        return AdmissionWait("pool_reserved", max(kept_for.since, task.state_since), (kept_for.name,))
    return AdmissionWait(task.reason or "awaiting_admission", task.state_since)


def _own_keys(run: RunRow, task: TaskInstanceRow) -> tuple[LimitKey, ...]:
    return (
        run_task_limit(run.dag_id, task.task_id, run.run_pk),
        task_limit(run.dag_id, task.task_id),
        ("dag_tasks", run.dag_id),
        ("executor", task.executor),
    )


def occupants(
    tx: ReadTx, run: RunRow, task: TaskInstanceRow, reason: str, most: int
) -> tuple[str, ...] | None:
    """Return at most `most` of those who take a full limit, None for a reason that is no full limit.

    Served by ix_task_instance_taking.
    """
    where: dict[str, tuple[str, tuple[object, ...]]] = {
        "pool_full": ("t.pool = ?", (task.pool,)),
        "executor_full": ("t.executor = ?", (task.executor,)),
        "max_active_tasks": ("r.dag_id = ?", (run.dag_id,)),
        "task_limit": ("r.dag_id = ? AND t.task_id = ?", (run.dag_id, task.task_id)),
        "run_task_limit": ("t.run_pk = ? AND t.task_id = ?", (run.run_pk, task.task_id)),
    }
    if reason not in where:
        return None
    condition, values = where[reason]
    rows = tx.rows(
        f"""
        SELECT r.dag_id, r.run_id, t.task_id FROM task_instance t JOIN dag_run r ON r.id = t.run_pk
        WHERE t.state IN ('queued', 'running') AND {condition} ORDER BY t.id LIMIT ?
        """,
        (*values, most),
    )
    return tuple(" ".join(row) for row in rows)


def _reservations(tx: ReadTx) -> dict[str, Reservation]:
    found = {}
    for pool, (_, candidate) in plan_admission(tx, _LOOKED_AT).reserved.items():
        ((dag_id, run_id, task_id),) = tx.rows(
            "SELECT r.dag_id, r.run_id, t.task_id FROM task_instance t JOIN dag_run r ON r.id = t.run_pk"
            " WHERE t.id = ?",
            (candidate.ti_id,),
        )
        since = from_micros(candidate.waiting_since)
        found[pool] = Reservation(candidate.ti_id, since, f"{dag_id} {run_id} {task_id}")
    return found
