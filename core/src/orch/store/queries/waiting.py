"""Waits: why a run or a task instance is where it is, what blocks it, and since when; worked out on read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from orch.clock import from_micros
from orch.domain.dagspec import DagSpec
from orch.domain.past import REPEATS, Hold, hold_of
from orch.domain.states import FAILED_STATES, OPEN, RUN_TERMINAL, TaskState
from orch.store.queries import pasts
from orch.store.queries.admission_waits import AdmissionFacts, admission_facts, occupants, why_not_admitted
from orch.store.queries.pasts import FormerRun
from orch.store.queries.reading import RunRow, spec_of
from orch.store.queries.reading_tasks import TaskInstanceRow
from orch.store.reader import ReadTx

MOST_BLOCKERS = 20

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
    admission: AdmissionFacts = field(default_factory=AdmissionFacts)
    """What its scheduled task instances wait for, read only when there are any."""
    holds: Mapping[int, Hold] = field(default_factory=dict)
    """What holds those task instances back now, by id, that the run before held back at the last look."""
    former: FormerRun | None = None
    """The run before, read only when there may be such task instances."""


def facts_of(tx: ReadTx, run: RunRow, spec: DagSpec, tasks: Sequence[TaskInstanceRow]) -> RunFacts:
    """Read what else the waits of this run follow from."""
    ((paused,),) = tx.rows("SELECT is_paused FROM dag WHERE dag_id = ?", (run.dag_id,))
    waits = any(task.state == TaskState.SCHEDULED for task in tasks)
    admission = admission_facts(tx, run) if waits else AdmissionFacts()
    former, holds = holds_of(tx, run, spec, tasks)
    return RunFacts(run, spec, tasks, bool(paused), admission, holds, former)


def wait_of_run(tx: ReadTx, facts: RunFacts) -> Wait | None:
    """Return why a queued run has not started, or why a run was ended early; None for any other run."""
    run = facts.run
    if run.state in RUN_TERMINAL and run.reason in _ENDS_OF_RUNS:
        return Wait(run.reason, run.ended_at or run.created_at, _ended_by(facts, run.reason))
    if run.state != "queued":
        return None
    if facts.is_paused:
        return Wait("dag_paused", run.created_at)
    if (paused_at := _backfill_paused_at(tx, run)) is not None:
        return Wait("backfill_paused", max(paused_at, run.created_at), (f"backfill {run.backfill_id}",))
    if run.run_after > from_micros(tx.now):
        return Wait("run_after", run.created_at)
    reason = "run_queued" if run.reason in (None, "run_after") else run.reason
    return Wait(reason, run.created_at, _running_runs(tx, run) if reason == "max_active_runs" else ())


def wait_for_past(facts: RunFacts) -> Wait | None:
    """Return why the first of the tasks that the run before holds back waits; None when it holds none back."""
    held = (reason_of_task(facts, task) for task in facts.tasks if task.ti_id in facts.holds)
    return next(held, None)


def wait_of_task(tx: ReadTx, facts: RunFacts, task: TaskInstanceRow) -> Wait | None:
    """Return why a task instance is where it is, with what blocks it; None after a success."""
    wait = reason_of_task(facts, task)
    if wait is None or wait.blocking:
        return wait
    if wait.reason in _ENDS_OF_RUNS:
        return replace(wait, blocking=_ended_by(facts, wait.reason))
    holders = occupants(tx, facts.run, task, wait.reason, MOST_BLOCKERS)
    if holders is not None:
        return replace(wait, blocking=holders)
    return Wait(wait.reason, wait.since, _blocking_upstream(facts, task, wait.reason))


def with_reasons(facts: RunFacts) -> list[TaskInstanceRow]:
    """Return the task instances with the reasons that hold now; limits are not stored with each of them."""
    waits = [(task, reason_of_task(facts, task)) for task in facts.tasks]
    return [replace(task, reason=wait.reason if wait else None) for task, wait in waits]


def reason_of_task(facts: RunFacts, task: TaskInstanceRow) -> Wait | None:
    """Return why a task instance is where it is, without looking for what blocks it."""
    if task.state == TaskState.SCHEDULED:
        return _wait_for_admission(facts, task)
    if task.state == TaskState.NONE and task.reason in _HOLDS:
        return _wait_for_past(facts, task)
    reason = task.reason or _DEFAULT_REASONS.get(task.state)
    if reason == "upstream_not_done" and not _blocking_upstream(facts, task, reason):
        reason = "not_evaluated"  # they have ended, and no scheduler has looked since
    if reason == "not_evaluated" and facts.run.state == "queued":
        reason = "run_not_begun"
    return None if reason is None else Wait(reason, task.state_since)


_DEFAULT_REASONS: Mapping[str, str] = {TaskState.QUEUED: "awaiting_worker", TaskState.RUNNING: "running"}


def _wait_for_admission(facts: RunFacts, task: TaskInstanceRow) -> Wait:
    if facts.is_paused:
        return Wait("dag_paused", task.state_since)
    slots = facts.spec.by_id[task.task_id].pool_slots if task.task_id in facts.spec.by_id else 1
    wait = why_not_admitted(facts.admission, facts.run, task, slots)
    return Wait(wait.reason, wait.since, wait.blocking)


def _wait_for_past(facts: RunFacts, task: TaskInstanceRow) -> Wait:
    """The wait began when nothing else was in the way: with the run, or with the end of the last upstream."""
    upstream = facts.spec.by_id[task.task_id].upstream if task.task_id in facts.spec.by_id else ()
    ends = [row.state_since for row in facts.tasks if row.task_id in upstream]
    since = max([facts.run.started_at or task.state_since, *ends])
    hold = facts.holds.get(task.ti_id)
    if hold is None or facts.former is None:
        return Wait("not_evaluated", since)
    names = [f"{facts.former.dag_id} {facts.former.run_id} {task_id}" for task_id in hold.blocking]
    return Wait(hold.reason, since, tuple(names[:MOST_BLOCKERS]))


_HOLDS = ("depends_on_past", "wait_for_downstream")
_ENDS_OF_RUNS = ("dagrun_timeout", "fail_fast")


def holds_of(
    tx: ReadTx, run: RunRow, spec: DagSpec, tasks: Sequence[TaskInstanceRow]
) -> tuple[FormerRun | None, dict[int, Hold]]:
    """Return the run before and what it holds back now; nothing is read when it held nothing back so far."""
    held = [row for row in tasks if row.state == TaskState.NONE and row.reason in _HOLDS]
    held = [row for row in held if row.task_id in spec.by_id]
    if not held:
        return None, {}
    former = pasts.run_before(tx, run.run_pk)
    keys = [(row.task_id, row.map_index) for row in held]
    deep = {row.task_id for row in held if spec.by_id[row.task_id].wait_for_downstream}
    found = pasts.pasts_of(tx, former, keys, deep, partial(spec_of, tx))
    holds = {row.ti_id: hold_of(spec.by_id[row.task_id], found[row.task_id, row.map_index]) for row in held}
    return former, {ti_id: hold for ti_id, hold in holds.items() if hold is not None}


def _ended_by(facts: RunFacts, reason: str) -> tuple[str, ...]:
    """The failed tasks when they have ended the run; nobody when its time was over."""
    if reason != "fail_fast":
        return ()
    failed = dict.fromkeys(row.task_id for row in facts.tasks if row.state == TaskState.FAILED)
    return tuple(failed)[:MOST_BLOCKERS]


def _blocking_upstream(facts: RunFacts, task: TaskInstanceRow, reason: str) -> tuple[str, ...]:
    states = _BLOCKED_BY_UPSTREAM.get(reason)
    spec = facts.spec.by_id.get(task.task_id)
    if states is None or spec is None:
        return ()
    blocking = {
        row.task_id: None for row in facts.tasks if row.task_id in spec.upstream and row.state in states
    }
    return tuple(blocking)[:MOST_BLOCKERS]


def _backfill_paused_at(tx: ReadTx, run: RunRow) -> datetime | None:
    rows = tx.rows("SELECT state_since FROM backfill WHERE id = ? AND state = 'paused'", (run.backfill_id,))
    return from_micros(rows[0][0]) if rows else None


def _running_runs(tx: ReadTx, run: RunRow) -> tuple[str, ...]:
    rows = tx.rows(
        "SELECT dag_id, run_id FROM dag_run WHERE dag_id = ? AND state = 'running' AND backfill_id IS NULL"
        " AND reason IS NOT ? ORDER BY id LIMIT ?",
        (run.dag_id, REPEATS, MOST_BLOCKERS),
    )
    return tuple(" ".join(row) for row in rows)
