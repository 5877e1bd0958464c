"""Revocation (T12): who was under way loses the right to it, with everything that hangs on that right."""

from collections.abc import Sequence
from dataclasses import replace

from orch.domain.states import TaskState
from orch.store.engine import Tx
from orch.store.queries import attempts
from orch.store.queries.attempts import AttemptEnd
from orch.store.queries.transitions import TaskRow

REVOKED = "revoked"
"""The outcome of an attempt that was ended from outside."""


def revoked(tx: Tx, row: TaskRow, reason: str) -> TaskRow:
    """Return the row of a task instance as cancelled: its epoch is over, so that no report of it counts."""
    ended = replace(
        row, state=TaskState.CANCELLED, epoch=row.epoch + 1, reason=reason, detail=None, due_at=None
    )
    if row.state is not TaskState.RUNNING:
        return ended
    ((claimed_at,),) = tx.rows(
        "SELECT claimed_at FROM attempt WHERE ti_id = ? AND epoch = ?", (row.id, row.epoch)
    )
    return replace(
        ended, started_at=claimed_at, ended_at=tx.now
    )  # when user code began, only its report says


def clean_up(tx: Tx, moved: Sequence[tuple[TaskRow, TaskRow]], why: str) -> None:
    """Close what these task instances, as they were and as they are, had open: attempt, dispatch, trigger, timer.

    `why` is for the people who read the attempt and its log.
    """
    running = [(old, new) for old, new in moved if old.state is TaskState.RUNNING]
    attempts.end(
        tx, [AttemptEnd(old.id, old.epoch, REVOKED, new.started_at, error=why) for old, new in running]
    )
    attempts.undispatch(tx, [(old.id, old.epoch) for old, _ in moved])
    ids = [(old.id,) for old, _ in moved]
    tx.many('DELETE FROM "trigger" WHERE ti_id = ?', ids)
    tx.many("DELETE FROM timer WHERE ti_id = ?", ids)
