"""Waits: why a run or a task instance is where it is, what blocks it, and since when; worked out on read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from orch.clock import from_micros
from orch.domain.dagspec import DagSpec
from orch.domain.states import FAILED_STATES, OPEN, TaskState
from orch.store.queries.reading import RunRow
from orch.store.queries.reading_tasks import TaskInstanceRow
from orch.store.reader import ReadTx

MOST_BLOCKERS = 20

_SATURATED_REASONS = {"pool": "pool_full", "dag_tasks": "max_active_tasks", "executor": "executor_full"}
_BLOCKED_BY_UPSTREAM = {
    "upstream_not_done": frozenset(OPEN),
    "upstream_failed": FAILED_STATES,
    "skipped_by_trigger_rule": frozenset(TaskState) - {TaskState.SUCCESS},
}


@dataclass(frozen=True, slots=True)
class Wait:
    """One answer to "why is it there?"."""

    reason: str
    """A code of `domain.reasons`."""
    since: datetime
    blocking: tuple[str, ...] = ()
    """Ids of what blocks it: tasks of the same run, or `dag_id run_id [task_id]`; at most 20."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the waits of one run follow from."""

    run: RunRow
    spec: DagSpec
    tasks: Sequence[TaskInstanceRow]
    is_paused: bool = False
    saturated: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    """(kind, name) of each limit that somebody waits for, with since when."""
    pools: Mapping[str, int] = field(default_factory=lambda: {"default": 128})
    """The pools that exist, with their slots."""


def facts_of(tx: ReadTx, run: RunRow, spec: DagSpec, tasks: Sequence[TaskInstanceRow]) -> RunFacts:
    """Read what else the waits of this run follow from."""
    ((paused,),) = tx.rows("SELECT is_paused FROM dag WHERE dag_id = ?", (run.dag_id,))
    limits = tx.rows("SELECT kind, name, saturated_since FROM limit_row WHERE saturated_since IS NOT NULL")
    saturated = {(kind, name): from_micros(since) for kind, name, since in limits}
    pools = dict(tx.rows("SELECT name, size FROM limit_row WHERE kind = 'pool'"))
    return RunFacts(run, spec, tasks, bool(paused), saturated, pools)


def wait_of_run(tx: ReadTx, facts: RunFacts) -> Wait | None:
    """Return why a queued run has not started; None for any other run."""
    run = facts.run
    if run.state != "queued":
        return None
    if facts.is_paused:
        return Wait("dag_paused", run.created_at)
    reason = run.reason or "run_queued"
    return Wait(reason, run.created_at, _running_runs(tx, run) if reason == "max_active_runs" else ())


def wait_of_task(tx: ReadTx, facts: RunFacts, task: TaskInstanceRow) -> Wait | None:
    """Return why a task instance is where it is, with what blocks it; None after a success."""
    wait = reason_of_task(facts, task)
    if wait is None or wait.blocking:
        return wait
    if wait.reason in _SATURATED_REASONS.values():
        return Wait(wait.reason, wait.since, _occupants(tx, facts.run, task, wait.reason))
    return Wait(wait.reason, wait.since, _blocking_upstream(facts, task, wait.reason))


def with_reasons(facts: RunFacts) -> list[TaskInstanceRow]:
    """Return the task instances with the reasons that hold now; limits are not stored with each of them."""
    waits = [(task, reason_of_task(facts, task)) for task in facts.tasks]
    return [replace(task, reason=wait.reason if wait else None) for task, wait in waits]


def reason_of_task(facts: RunFacts, task: TaskInstanceRow) -> Wait | None:
    """Return why a task instance is where it is, without looking for what blocks it."""
    if task.state == TaskState.SCHEDULED:
        return _wait_for_admission(facts, task)
    reason = task.reason or _DEFAULT_REASONS.get(task.state)
    if reason == "upstream_not_done" and not _blocking_upstream(facts, task, reason):
        reason = "not_evaluated"  # they have ended, and no scheduler has looked since
    return None if reason is None else Wait(reason, task.state_since)


_DEFAULT_REASONS: Mapping[str, str] = {TaskState.QUEUED: "awaiting_worker", TaskState.RUNNING: "running"}


def _wait_for_admission(facts: RunFacts, task: TaskInstanceRow) -> Wait:
    if facts.is_paused:
        return Wait("dag_paused", task.state_since)
    slots = facts.spec.by_id[task.task_id].pool_slots if task.task_id in facts.spec.by_id else 1
    if 0 < facts.pools.get(task.pool, 0) < slots:
        return Wait("pool_too_small", task.state_since, (task.pool,))
    if task.pool not in facts.pools:
        return Wait("pool_missing", task.state_since, (task.pool,))
    names = {"dag_tasks": facts.run.dag_id, "pool": task.pool, "executor": task.executor}
    for kind, name in names.items():
        if (since := facts.saturated.get((kind, name))) is not None:
            return Wait(_SATURATED_REASONS[kind], max(since, task.state_since))
    return Wait(task.reason or "awaiting_admission", task.state_since)


def _blocking_upstream(facts: RunFacts, task: TaskInstanceRow, reason: str) -> tuple[str, ...]:
    states = _BLOCKED_BY_UPSTREAM.get(reason)
    spec = facts.spec.by_id.get(task.task_id)
    if states is None or spec is None:
        return ()
    blocking = {
        row.task_id: None for row in facts.tasks if row.task_id in spec.upstream and row.state in states
    }
    return tuple(blocking)[:MOST_BLOCKERS]


def _running_runs(tx: ReadTx, run: RunRow) -> tuple[str, ...]:
    rows = tx.rows(
        "SELECT dag_id, run_id FROM dag_run WHERE dag_id = ? AND state = 'running' ORDER BY id LIMIT ?",
        (run.dag_id, MOST_BLOCKERS),
    )
    return tuple(" ".join(row) for row in rows)


def _occupants(tx: ReadTx, run: RunRow, task: TaskInstanceRow, reason: str) -> tuple[str, ...]:
    """Who holds the slots (served by ix_task_instance_occupying)."""
    column, name = {
        "pool_full": ("t.pool", task.pool),
        "executor_full": ("t.executor", task.executor),
        "max_active_tasks": ("r.dag_id", run.dag_id),
    }[reason]
    rows = tx.rows(
        f"""
        SELECT r.dag_id, r.run_id, t.task_id FROM task_instance t JOIN dag_run r ON r.id = t.run_pk
        WHERE t.state IN ('queued', 'running') AND {column} = ? ORDER BY t.id LIMIT ?
        """,
        (name, MOST_BLOCKERS),
    )
    return tuple(" ".join(row) for row in rows)
