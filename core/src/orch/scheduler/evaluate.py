"""Evaluation: due runs are decided with their views and the effects written, admission in the same transaction."""

import logging
from collections import OrderedDict
from dataclasses import replace

from orch.clock import from_micros, monotonic, to_micros
from orch.domain.decide import Decision, decide
from orch.domain.run_view import RunView
from orch.failpoints import FailpointError
from orch.scheduler.admit import admit_waiting
from orch.scheduler.context import Changes, SchedulerContext
from orch.scheduler.send import tell_consumers
from orch.store.engine import TRANSIENT, Tx
from orch.store.queries import runs
from orch.store.queries.runs import RunRow
from orch.store.queries.transitions import RunMove, TaskMove, bump_run, move_run, move_tasks

log = logging.getLogger("orch.scheduler")

RUNS_PER_TRANSACTION = 200
VIEWED_TASKS = 100_000
"""Views in memory are dropped, least recently used first, beyond this many task instances."""
QUARANTINE_SECONDS = 30.0


class Evaluator:
    """Keeps a view per run it works on."""

    def __init__(self, context: SchedulerContext) -> None:
        self._context = context
        self._views: OrderedDict[int, RunView] = OrderedDict()
        self._viewed_tasks = 0
        self._quarantine: dict[int, float] = {}
        self._in_hand: RunRow | None = None

    def forget(self) -> None:
        """Drop every view; the next decision reads the store again."""
        self._views.clear()
        self._viewed_tasks = 0

    def run_once(self) -> int:
        """Evaluate due runs and admit what may be queued; return how much moved.

        A run that makes the decision raise is set aside for a while, so that one bad run never stops the rest.
        """
        changes = Changes()
        try:
            with self._context.store.write("evaluate") as tx:
                moved = self._evaluate_due(tx, changes)
                moved += admit_waiting(self._context, tx, changes)
        except (*TRANSIENT, FailpointError):
            self.forget()
            raise
        except Exception:
            self.forget()
            if not self._set_aside():
                raise
            return 1
        tell_consumers(self._context, changes.queued)
        changes.tell(self._context.plugins)
        return moved

    def _set_aside(self) -> bool:
        """Keep the run whose decision raised out of the next ones; return False when no run was in hand."""
        run, self._in_hand = self._in_hand, None
        if run is None:
            return False
        log.exception("run %s of DAG %s is set aside", run.run_id, run.dag_id)
        self._quarantine[run.run_pk] = monotonic() + QUARANTINE_SECONDS
        return True

    def _evaluate_due(self, tx: Tx, changes: Changes) -> int:
        budget = self._context.settings.scheduler.batch
        moved = 0
        for run in runs.due_runs(tx, RUNS_PER_TRANSACTION, self._context.scope, self._quarantined()):
            if moved >= budget:
                break
            self._in_hand = run
            moved += self._evaluate_run(tx, run, budget - moved, changes)
        self._in_hand = None
        return moved

    def _evaluate_run(self, tx: Tx, run: RunRow, batch: int, changes: Changes) -> int:
        view = self._view(tx, run)
        decision = decide(view, from_micros(tx.now), batch=batch)
        lost = self._apply_moves(tx, run, view, decision, changes)
        if lost:
            self._drop(run.run_pk)
            bump_run(tx, run.run_pk, run.version, tx.now)
            return len(decision.moves)
        self._finish(tx, run, view, decision, changes)
        return len(decision.moves) + (decision.run_state is not None)

    def _apply_moves(self, tx: Tx, run: RunRow, view: RunView, decision: Decision, changes: Changes) -> bool:
        """Write the moves; return whether any of them was lost to somebody else."""
        ids = [view.tasks[move.position].facts.ti_id for move in decision.moves]
        rows = {row.id: row for row in runs.task_rows(tx, ids)}
        moves = []
        for ti_id, move in zip(
            ids, decision.moves, strict=True
        ):  # in the order of the decision: causes first
            row = rows[ti_id]
            if row.state is not move.old:
                continue
            to = replace(row, state=move.new, reason=move.reason, detail=None, due_at=None)
            moves.append(TaskMove(row, to))
        won = move_tasks(tx, moves, self._context.by)
        for row in won:
            changes.add_task(run, rows[row.id], row, tx.now)
        return len(won) != len(ids)

    def _finish(self, tx: Tx, run: RunRow, view: RunView, decision: Decision, changes: Changes) -> None:
        if decision.run_state is not None:
            move = RunMove(run.run_pk, run.version, run.state, decision.run_state)
            if move_run(tx, move, self._context.by):
                changes.add_run(run, decision.run_state, tx.now)
            self._drop(run.run_pk)
            return
        due_at = None if decision.due_at is None else to_micros(decision.due_at)
        if bump_run(tx, run.run_pk, run.version, due_at):
            view.version = run.version + 1
        else:
            self._drop(run.run_pk)

    def _view(self, tx: Tx, run: RunRow) -> RunView:
        """Return a view that knows all that `tx` sees of the run; its wake-ups are consumed."""
        named = runs.take_wakeups(tx, run.run_pk)
        view = self._views.get(run.run_pk)
        if view is not None and view.version == run.version:
            rows = runs.task_rows(tx, named)
            known = [
                view.observe(runs.facts(row)) for row in rows
            ]  # every one, not only up to the first False
            if all(known):
                self._views.move_to_end(run.run_pk)
                return view
        self._drop(run.run_pk)
        spec = self._context.specs.get(tx, run.dag_version_id)
        view = RunView(
            run.run_pk, run.version, spec, [runs.facts(r) for r in runs.rows_of_run(tx, run.run_pk)]
        )
        self._keep(view)
        return view

    def _keep(self, view: RunView) -> None:
        self._views[view.run_pk] = view
        self._viewed_tasks += len(view.tasks)
        while self._viewed_tasks > VIEWED_TASKS and len(self._views) > 1:
            self._drop(next(iter(self._views)))

    def _drop(self, run_pk: int) -> None:
        view = self._views.pop(run_pk, None)
        if view is not None:
            self._viewed_tasks -= len(view.tasks)

    def _quarantined(self) -> list[int]:
        now = monotonic()
        self._quarantine = {run_pk: until for run_pk, until in self._quarantine.items() if until > now}
        return list(self._quarantine)
