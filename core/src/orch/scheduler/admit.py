"""Admission: scheduled task instances get their slots and become queued, with a new epoch and a dispatch row (T2)."""

from dataclasses import replace

from orch.domain.admission import Candidate, Group
from orch.domain.states import TaskState
from orch.scheduler.context import Changes, SchedulerContext
from orch.store.engine import Tx
from orch.store.queries import attempts, limits, runs
from orch.store.queries.admission import plan_admission
from orch.store.queries.attempts import DispatchRow, NewDispatch
from orch.store.queries.transitions import TaskMove, TaskRow, move_tasks
from orch.store.reader import ReadTx


def admission_waits(context: SchedulerContext, tx: ReadTx) -> bool:
    """Return whether an admission would change anything: a look that spares the write lock."""
    admission = plan_admission(tx, 1, context.scope)
    return bool(admission.admitted or limits.saturation_changes(tx, admission))


def admit_waiting(context: SchedulerContext, tx: Tx, changes: Changes) -> int:
    """Queue what fits, in the order of turns; return how many. Cost does not depend on how many stay blocked."""
    admission = plan_admission(tx, context.settings.scheduler.batch, context.scope)
    limits.mark_saturated(tx, limits.saturation_changes(tx, admission))
    limits.note_turns(tx, admission.served_at)
    changes.may_admit_more = not admission.is_complete or bool(admission.admitted and admission.reserved)
    return _queue(context, tx, admission.admitted, changes)


def _queue(
    context: SchedulerContext, tx: Tx, admitted: list[tuple[Group, Candidate]], changes: Changes
) -> int:
    before = {row.id: row for row in runs.task_rows(tx, [candidate.ti_id for _, candidate in admitted])}
    moves = [_move(before[candidate.ti_id]) for _, candidate in admitted]
    won = {row.id: row for row in move_tasks(tx, moves, context.by)}
    names = runs.names_of_runs(tx, {row.run_pk for row in won.values()})
    queues = runs.queues_of(tx, list(won))
    outbox = [
        NewDispatch(
            candidate.ti_id,
            won[candidate.ti_id].epoch,
            won[candidate.ti_id].run_pk,
            group.executor,
            queues[candidate.ti_id],
            candidate.priority,
            candidate.head_start,
        )
        for group, candidate in admitted
        if candidate.ti_id in won
    ]
    attempts.dispatch(tx, outbox)
    for sent in outbox:
        row = won[sent.ti_id]
        changes.queued.append(DispatchRow(row.id, row.epoch, sent.executor, sent.queue))
        changes.add_task(names[row.run_pk], before[row.id], row, tx.now)
    return len(outbox)


def _move(row: TaskRow) -> TaskMove:
    return TaskMove(row, replace(row, state=TaskState.QUEUED, epoch=row.epoch + 1, reason="awaiting_worker"))
