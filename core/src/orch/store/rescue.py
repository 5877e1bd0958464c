"""Rescue (T8): what a lost worker held is taken back with a new epoch and counted as an infrastructure loss."""

from collections.abc import Sequence
from dataclasses import replace

from orch.domain.states import Actor, TaskState
from orch.store.engine import Tx
from orch.store.queries import attempts, processes, runs
from orch.store.queries.attempts import AttemptEnd, AttemptRow
from orch.store.queries.transitions import By, TaskMove, TaskRow, move_tasks


def rescue_process(tx: Tx, incarnation: str, by_id: str, infra_loss_limit: int) -> list[TaskRow]:
    """Declare a component dead and take back all it held; return the task instances that moved."""
    if not processes.end(tx, incarnation):
        return []
    return rescue_attempts(tx, attempts.open_of(tx, incarnation), by_id, infra_loss_limit)


def rescue_attempts(tx: Tx, lost: Sequence[AttemptRow], by_id: str, infra_loss_limit: int) -> list[TaskRow]:
    """Take back these attempts: to scheduled without using a try, or failed after too many losses."""
    epochs = {row.ti_id: row.epoch for row in lost}
    rows = [
        row
        for row in runs.task_rows(tx, list(epochs))
        if row.state is TaskState.RUNNING and row.epoch == epochs[row.id]
    ]
    moves = [TaskMove(row, _after_loss(row, infra_loss_limit)) for row in rows]
    won = move_tasks(tx, moves, By(Actor.RESCUE, by_id))
    attempts.end(tx, [AttemptEnd(row.ti_id, row.epoch, "lost") for row in lost])
    runs.wake(tx, [(row.run_pk, row.id) for row in won])
    return won


def _after_loss(row: TaskRow, limit: int) -> TaskRow:
    lost = replace(row, epoch=row.epoch + 1, infra_losses=row.infra_losses + 1, next_try=row.try_number)
    if lost.infra_losses >= limit:
        return replace(lost, state=TaskState.FAILED, reason="infra_losses_used_up")
    return replace(lost, state=TaskState.SCHEDULED, reason="infrastructure_loss")
