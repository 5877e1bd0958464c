"""Promotion: queued runs become running under the run limit of their DAG (T16)."""

from orch.domain.states import RunState
from orch.scheduler.context import Changes, SchedulerContext
from orch.store.queries import promotion
from orch.store.queries.transitions import RunMove, move_run


def promote(context: SchedulerContext) -> int:
    """Promote the oldest queued runs of each DAG that has room; return how many."""
    batch = context.settings.scheduler.batch
    with context.store.read() as tx:
        if not promotion.promotable(tx, 1, context.scope) and not promotion.without_room(
            tx, 1, context.scope
        ):
            return 0
    changes = Changes()
    with context.store.write("promote") as tx:
        for run in promotion.promotable(tx, batch, context.scope):
            move = RunMove(run.run_pk, run.version, run.state, RunState.RUNNING, due_at=tx.now)
            if move_run(tx, move, context.by):
                changes.add_run(run, RunState.RUNNING, tx.now)
        promotion.set_run_reasons(tx, promotion.without_room(tx, batch, context.scope))
    changes.tell(context.plugins)
    return len(changes.runs)
