"""Waits: why a run or a task instance is where it is, what blocks it, and since when; worked out on read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from orch.clock import from_micros
from orch.domain.dagspec import DagSpec
from orch.domain.states import FAILED_STATES, OCCUPYING, OPEN, TaskState
from orch.store.engine import Tx
from orch.store.queries.reading import RunRow
from orch.store.queries.reading_tasks import TaskInstanceRow
from orch.store.tables import dag, dag_run, limit_row, task_instance

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


def facts_of(tx: Tx, run: RunRow, spec: DagSpec, tasks: Sequence[TaskInstanceRow]) -> RunFacts:
    """Read what else the waits of this run follow from."""
    paused = tx.conn.execute(sa.select(dag.c.is_paused).where(dag.c.dag_id == run.dag_id)).scalar_one()
    rows = tx.conn.execute(sa.select(limit_row).where(limit_row.c.saturated_since.is_not(None)))
    saturated = {(row.kind, row.name): from_micros(row.saturated_since) for row in rows}
    return RunFacts(run, spec, tasks, bool(paused), saturated)


def wait_of_run(tx: Tx, facts: RunFacts) -> Wait | None:
    """Return why a queued run has not started; None for any other run."""
    run = facts.run
    if run.state != "queued":
        return None
    if facts.is_paused:
        return Wait("dag_paused", run.created_at)
    reason = run.reason or "run_queued"
    return Wait(reason, run.created_at, _running_runs(tx, run) if reason == "max_active_runs" else ())


def wait_of_task(tx: Tx, facts: RunFacts, task: TaskInstanceRow) -> Wait | None:
    """Return why a task instance is where it is, with what blocks it; None after a success."""
    wait = reason_of_task(facts, task)
    if wait is None:
        return None
    if wait.reason in _SATURATED_REASONS.values():
        return Wait(wait.reason, wait.since, _occupants(tx, facts.run, task, wait.reason))
    return Wait(wait.reason, wait.since, _blocking_upstream(facts, task, wait.reason))


def reason_of_task(facts: RunFacts, task: TaskInstanceRow) -> Wait | None:
    """Return why a task instance is where it is, without looking for what blocks it."""
    if task.state == TaskState.SCHEDULED:
        return _wait_for_admission(facts, task)
    reason = task.reason or _DEFAULT_REASONS.get(task.state)
    return None if reason is None else Wait(reason, task.state_since)


_DEFAULT_REASONS: Mapping[str, str] = {TaskState.QUEUED: "awaiting_worker", TaskState.RUNNING: "running"}


def _wait_for_admission(facts: RunFacts, task: TaskInstanceRow) -> Wait:
    if facts.is_paused:
        return Wait("dag_paused", task.state_since)
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


def _running_runs(tx: Tx, run: RunRow) -> tuple[str, ...]:
    statement = sa.select(dag_run.c.run_id).where(
        dag_run.c.dag_id == run.dag_id, dag_run.c.state == "running"
    )
    found = tx.conn.execute(statement.order_by(dag_run.c.id).limit(MOST_BLOCKERS)).scalars()
    return tuple(f"{run.dag_id} {run_id}" for run_id in found)


def _occupants(tx: Tx, run: RunRow, task: TaskInstanceRow, reason: str) -> tuple[str, ...]:
    """Who holds the slots (served by ix_task_instance_occupying)."""
    same = {
        "pool_full": task_instance.c.pool == task.pool,
        "executor_full": task_instance.c.executor == task.executor,
        "max_active_tasks": dag_run.c.dag_id == run.dag_id,
    }[reason]
    statement = (
        sa.select(dag_run.c.dag_id, dag_run.c.run_id, task_instance.c.task_id)
        .join(dag_run, dag_run.c.id == task_instance.c.run_pk)
        .where(task_instance.c.state.in_(sorted(OCCUPYING)), same)
        .order_by(task_instance.c.id)
        .limit(MOST_BLOCKERS)
    )
    return tuple(" ".join(row) for row in tx.conn.execute(statement))
