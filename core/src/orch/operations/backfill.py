"""Backfill: fill the dates of a span of the past with runs, and pause, resume or cancel that."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from orch.domain import states
from orch.domain.backfills import BACKFILL_ENDED, BackfillState
from orch.domain.states import OPEN, RunState
from orch.errors import Conflict, NotFound, OrchError, StoreError
from orch.operations.actor import Actor
from orch.operations.backfill_plan import BackfillPlan, BackfillRequest, across, plan_of
from orch.operations.perform import Done, Order, Services, perform
from orch.store.engine import Tx
from orch.store.queries import backfill_dates, backfills, reading, runs, waiters
from orch.store.queries.backfills import BackfillRow, NewBackfill
from orch.store.queries.runs import RunRow
from orch.store.queries.transitions import By, RunMove, TaskMove, move_run, move_tasks
from orch.store.reader import ReadTx
from orch.store.revoke import revoked


@dataclass(frozen=True, slots=True)
class BackfillCreated:
    """The backfill that exists now."""

    backfill: BackfillRow
    created: bool
    """False when an equal request had made it and it is still open."""
    not_yet: datetime | None
    """The first date of the range that has not come and is no part of it."""


@dataclass(frozen=True, slots=True)
class BackfillChanged:
    """What became of a backfill."""

    backfill: BackfillRow
    changed: bool
    """False when it was so before."""
    cancelled_runs: int = 0
    running_runs: int = 0
    """Runs that had started and go on to their end."""


def create(services: Services, actor: Actor, request: BackfillRequest) -> BackfillCreated:
    """Make a backfill whose runs the scheduler makes one by one, or return the open one of an equal request.

    Raises BadInput for a range without dates and the like, NotFound for an unknown DAG, Conflict when an open
    backfill of the DAG shares dates with it.
    """
    order = Order(actor, "backfill.create", request.dag_id, "backfill")
    plan = _planned_before(services, request)

    def act(tx: Tx) -> Done[BackfillCreated]:
        if isinstance(plan, OrchError):
            raise plan  # here, so that the refusal is written down
        now = (
            plan
            if plan.dag_version_id == _version_of(tx, plan)
            else plan_of(tx, request, services.timetable_of)
        )
        return _create(tx, actor, request, now)

    return perform(services, order, act)


def pause(services: Services, actor: Actor, backfill_id: int) -> BackfillChanged:
    """From now on it makes and starts no run; what has started goes on."""
    return _perform(services, actor, backfill_id, "pause", _mover(BackfillState.PAUSED))


def resume(services: Services, actor: Actor, backfill_id: int) -> BackfillChanged:
    """Let a paused one go on."""
    return _perform(services, actor, backfill_id, "resume", _mover(BackfillState.RUNNING))


def cancel(services: Services, actor: Actor, backfill_id: int) -> BackfillChanged:
    """End it: its queued runs and their tasks are cancelled, those that have started go on to their end."""

    def act(tx: Tx, row: BackfillRow) -> BackfillChanged:
        if row.state is BackfillState.CANCELLED:
            return BackfillChanged(row, changed=False)
        _refuse_ended(row, "cancelled")
        by = By(states.Actor.OPERATOR, actor.name)
        queued = backfill_dates.queued_runs(tx, row.dag_pk, row.backfill_id)
        cancelled = sum(_cancel_run(tx, run, by) for run in queued)
        backfills.move(tx, row, BackfillState.CANCELLED)
        return _changed(tx, row, changed=True, cancelled_runs=cancelled)

    return _perform(services, actor, backfill_id, "cancel", act)


def find(tx: ReadTx, backfill_id: int) -> BackfillRow:
    """Return one backfill; NotFound says what there is."""
    row = backfills.find(tx, backfill_id)
    if row is None:
        newest = backfills.newest_id(tx)
        known = "there is none yet" if newest is None else f"the newest one is {newest}"
        raise NotFound(f"unknown backfill {backfill_id}; {known}, see `orch backfill list --all`")
    return row


def _planned_before(services: Services, request: BackfillRequest) -> BackfillPlan | OrchError:
    """Count the dates before the write lock is taken: many of them take seconds."""
    try:
        with services.store.read() as tx:
            return plan_of(tx, request, services.timetable_of)
    except StoreError:
        raise
    except OrchError as refusal:
        return refusal


def _version_of(tx: Tx, plan: BackfillPlan) -> int | None:
    dag = reading.find_dag(tx, plan.dag_id)
    return None if dag.is_missing else dag.current_version_id


def _create(tx: Tx, actor: Actor, request: BackfillRequest, plan: BackfillPlan) -> Done[BackfillCreated]:
    same = backfills.open_with(tx, plan.dag_pk, plan.body_hash)
    if same is not None:
        detail = {"backfill_id": same.backfill_id, "created": False}
        return Done(BackfillCreated(same, created=False, not_yet=plan.not_yet), detail)
    if (text := across(tx, plan)) is not None:
        raise Conflict(text)
    new = NewBackfill(
        dag_pk=plan.dag_pk,
        dag_id=plan.dag_id,
        dag_version_id=plan.dag_version_id,
        first=plan.dates[0],
        last=plan.dates[-1],
        backwards=request.backwards,
        reprocess=plan.reprocess,
        max_active_runs=request.max_active_runs,
        conf=request.conf,
        body_hash=plan.body_hash,
        dates=len(plan.dates),
        created_by=actor.name,
    )
    row = backfills.insert(tx, new)
    detail = {"backfill_id": row.backfill_id, "created": True, "dates": row.dates}
    return Done(BackfillCreated(row, created=True, not_yet=plan.not_yet), detail)


_Act = Callable[[Tx, BackfillRow], BackfillChanged]


def _perform(services: Services, actor: Actor, backfill_id: int, verb: str, act: _Act) -> BackfillChanged:
    def whole(tx: Tx) -> Done[BackfillChanged]:
        result = act(tx, find(tx, backfill_id))
        return Done(result, {"changed": result.changed, "cancelled_runs": result.cancelled_runs})

    order = Order(actor, f"backfill.{verb}", f"backfill {backfill_id}", "backfill")
    return perform(services, order, whole)


def _mover(to: BackfillState) -> _Act:
    def act(tx: Tx, row: BackfillRow) -> BackfillChanged:
        _refuse_ended(row, "paused" if to is BackfillState.PAUSED else "resumed")
        changed = row.state is not to and backfills.move(tx, row, to)
        return _changed(tx, row, changed=changed)

    return act


def _changed(tx: Tx, row: BackfillRow, *, changed: bool, cancelled_runs: int = 0) -> BackfillChanged:
    running = backfill_dates.progress(tx, row.backfill_id).runs.get(RunState.RUNNING, 0)
    return BackfillChanged(find(tx, row.backfill_id), changed, cancelled_runs, running)


def _refuse_ended(row: BackfillRow, participle: str) -> None:
    if row.state in BACKFILL_ENDED:
        raise Conflict(
            f"backfill {row.backfill_id} of DAG {row.dag_id!r} is {row.state} and cannot be {participle};"
            " make another one with `orch backfill create`"
        )


def _cancel_run(tx: Tx, run: RunRow, by: By) -> bool:
    """Cancel a queued run with its tasks (T12); whoever waits for them learns it."""
    rows = [row for row in runs.rows_of_run(tx, run.run_pk) if row.state in OPEN]
    move_tasks(tx, [TaskMove(row, revoked(tx, row, _CANCELLED)) for row in rows], by)
    waiters.wake_waiters(tx, run.run_pk, {row.task_id for row in rows})
    return move_run(tx, RunMove(run.run_pk, run.version, run.state, RunState.CANCELLED, _CANCELLED), by)


_CANCELLED = "backfill_cancelled"
