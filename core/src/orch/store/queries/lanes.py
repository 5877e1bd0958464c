"""Lanes: which task instances share limits of their own, and the sizes of those limits."""

from collections.abc import Iterable

from orch.domain.dagspec import DagSpec, TaskSpec
from orch.domain.limits import Lane, LimitKey
from orch.store.engine import Tx
from orch.store.queries import limits
from orch.store.queries.limit_sizes import task_limits


def lane_of(task: TaskSpec, priority: int, run_pk: int) -> str:
    """Return the lane of an instance of this task."""
    return Lane.of(
        priority=priority,
        slots=task.pool_slots,
        task_id=task.task_id,
        run_pk=run_pk,
        limited=task.max_active_tis_per_dag is not None,
        limited_per_run=task.max_active_tis_per_dagrun is not None,
    ).text


def set_task_limits(tx: Tx, dag_pk: int, spec: DagSpec) -> None:
    """Give the tasks of a DAG the limits that it names; those it names no longer are lifted.

    Task instances that exist already change their lanes, so that a limit holds for all from this moment on.
    """
    wanted = dict(_named(spec))
    known = task_limits(tx, spec.dag_id)
    for key, size in wanted.items():
        limits.set_size(tx, *key, size)
    for key in known.keys() - wanted.keys():
        limits.lift(tx, *key)
    changed = {key[1].rpartition("/")[2] for key in known.keys() ^ wanted.keys()}
    if changed:
        _change_lanes(tx, dag_pk, spec, changed)


def _named(spec: DagSpec) -> Iterable[tuple[LimitKey, int]]:
    for task in spec.tasks:
        name = f"{spec.dag_id}/{task.task_id}"
        if task.max_active_tis_per_dag is not None:
            yield ("task", name), task.max_active_tis_per_dag
        if task.max_active_tis_per_dagrun is not None:
            yield ("run_task", name), task.max_active_tis_per_dagrun


def _change_lanes(tx: Tx, dag_pk: int, spec: DagSpec, task_ids: Iterable[str]) -> None:
    """Rewrite the lanes of these tasks in open runs (served by ix_dag_run_open_of_dag and the key of the task)."""
    for task_id in sorted(task_ids):
        task = spec.by_id.get(task_id)
        rows = tx.rows(
            "SELECT t.id, t.run_pk, t.priority, t.slots FROM dag_run r JOIN task_instance t"
            " ON t.run_pk = r.id AND t.task_id = ? WHERE r.dag_pk = ? AND r.state IN ('queued', 'running')",
            (task_id, dag_pk),
        )
        lanes = [
            Lane.of(
                priority=priority,
                slots=slots,
                task_id=task_id,
                run_pk=run_pk,
                limited=task is not None and task.max_active_tis_per_dag is not None,
                limited_per_run=task is not None and task.max_active_tis_per_dagrun is not None,
            )
            for _, run_pk, priority, slots in rows
        ]
        tx.many(
            "UPDATE task_instance SET lane = ? WHERE id = ?",
            [(lane.text, row[0]) for lane, row in zip(lanes, rows, strict=True)],
        )
