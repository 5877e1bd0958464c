"""Promotion: queued runs become running under the run limit of their DAG (T16)."""

from collections import Counter

from orch.domain.limits import UNLIMITED
from orch.domain.states import RunState
from orch.scheduler.context import Changes, SchedulerContext
from orch.store.queries import limits, runs
from orch.store.queries.transitions import RunMove, move_run


def promote(context: SchedulerContext) -> int:
    """Promote the oldest queued runs of each DAG that has room; return how many."""
    with context.store.read() as tx:
        if not runs.promotion_waits(tx, context.scope):
            return 0
    changes = Changes()
    with context.store.write("promote") as tx:
        sizes = limits.sizes(tx)
        running = Counter(runs.running_counts(tx))
        for run in runs.promotable(tx, context.settings.scheduler.batch, context.scope):
            size = sizes.get(("dag_runs", run.dag_id), context.settings.core.max_active_runs_per_dag)
            if size != UNLIMITED and running[run.dag_pk] >= size:
                runs.set_run_reason(tx, run.run_pk, "max_active_runs")
                continue
            move = RunMove(run.run_pk, run.version, run.state, RunState.RUNNING, due_at=tx.now)
            if move_run(tx, move, context.by):
                running[run.dag_pk] += 1
                changes.add_run(run, RunState.RUNNING, tx.now)
    changes.tell(context.plugins)
    return len(changes.runs)
