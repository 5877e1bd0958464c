"""Promotion: queued runs become running under the run limit of their DAG (T16)."""

from orch.domain.past import REPEATS
from orch.domain.states import RunState
from orch.scheduler.context import Changes, SchedulerContext
from orch.store.engine import Tx
from orch.store.queries import promotion
from orch.store.queries.runs import RunRow
from orch.store.queries.transitions import RunMove, move_run


def promote(context: SchedulerContext) -> int:
    """Promote the oldest queued runs of each DAG that has room, and repeats that active runs wait for.

    Returns how many.
    """
    batch = context.settings.scheduler.batch
    with context.store.read() as tx:
        looks = (promotion.promotable, promotion.repeats, promotion.without_room)
        if not any(look(tx, 1, context.scope) for look in looks):
            return 0
    changes = Changes()
    with context.store.write("promote") as tx:
        for run in promotion.promotable(tx, batch, context.scope):
            _begin(tx, context, run, changes)
        for run in promotion.repeats(tx, batch, context.scope):  # asked after: those above may be among them
            _begin(tx, context, run, changes, REPEATS)
        promotion.set_run_reasons(tx, promotion.without_room(tx, batch, context.scope))
    changes.tell(context.plugins)
    return len(changes.runs)


def _begin(
    tx: Tx, context: SchedulerContext, run: RunRow, changes: Changes, reason: str | None = None
) -> None:
    move = RunMove(run.run_pk, run.version, run.state, RunState.RUNNING, reason, due_at=tx.now)
    if move_run(tx, move, context.by):
        changes.add_run(run, RunState.RUNNING, tx.now)
