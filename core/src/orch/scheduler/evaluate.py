"""Evaluation: due runs are decided with their views and the effects written, admission in the same transaction."""

import logging
from collections import OrderedDict
from dataclasses import replace
from datetime import datetime, timedelta

from orch.clock import from_micros, monotonic, to_micros
from orch.domain.dagspec import DagSpec
from orch.domain.decide import Decision, Move, decide, left_to_end, must_end
from orch.domain.run_view import TIMED_OUT, RunView
from orch.domain.states import OCCUPYING, TaskState
from orch.failpoints import FailpointError
from orch.hookspecs.executors import AttemptKey
from orch.scheduler.admit import admit_waiting
from orch.scheduler.context import Changes, SchedulerContext
from orch.scheduler.past_desk import PastDesk
from orch.scheduler.revoke import tell_revoked
from orch.scheduler.send import tell_consumers
from orch.store import revoke
from orch.store.engine import TRANSIENT, Tx
from orch.store.queries import runs
from orch.store.queries.runs import RunRow
from orch.store.queries.transitions import RunMove, TaskMove, TaskRow, bump_run, move_run, move_tasks

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
        self._pasts = PastDesk(context.specs)
        self._quarantine: dict[int, float] = {}
        self._in_hand: RunRow | None = None
        self.settled: object = None
        """Mark of a state of the database in which nobody more can be admitted."""

    def forget(self) -> None:
        """Drop every view; the next decision reads the store again."""
        self._views.clear()
        self._viewed_tasks = 0
        self._pasts.forget()

    def run_once(self) -> int:
        """Evaluate due runs and admit what may be queued; return how much moved.

        A run that makes the decision raise is set aside for a while, so that one bad run never stops the rest.
        """
        changes = Changes()
        try:
            with self._context.store.write("evaluate") as tx:
                moved = self._evaluate_due(tx, changes)
                moved += admit_waiting(self._context, tx, changes)
                self.settled = None if changes.may_admit_more else tx.mark()
        except (*TRANSIENT, FailpointError):
            self.forget()
            raise
        except Exception:
            self.forget()
            if not self._set_aside():
                raise
            return 1
        tell_consumers(self._context, changes.queued)
        tell_revoked(self._context, changes.revoked)
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
        self._pasts.begin()
        for run in runs.due_runs(tx, RUNS_PER_TRANSACTION, self._context.scope, self._quarantined()):
            if moved >= budget:
                break
            self._in_hand = run
            moved += self._evaluate_run(tx, run, budget - moved, changes)
        self._in_hand = None
        return moved

    def _evaluate_run(self, tx: Tx, run: RunRow, batch: int, changes: Changes) -> int:
        named = runs.take_wakeups(tx, run.run_pk)
        view = self._view(tx, run, named)
        decision = self._decide(tx, view, batch)
        self._pasts.wake_waiters(tx, view, named, decision)
        lost = self._apply_moves(tx, run, view, decision, changes)
        if lost:
            self._drop(run.run_pk)
            bump_run(tx, run.run_pk, run.version, tx.now)
            return len(decision.moves)
        self._pasts.note_holds(tx, view, decision)
        self._finish(tx, run, view, decision, changes)
        return len(decision.moves) + (decision.run_state is not None)

    def _decide(self, tx: Tx, view: RunView, batch: int) -> Decision:
        """Decide with all that the decision has to know: the states now when the run ends, the past it asks for."""
        now = from_micros(tx.now)
        if (why := must_end(view, now)) is not None:  # admissions and claims wake nobody
            ids = [view.tasks[position].facts.ti_id for position in left_to_end(view, why)[:batch]]
            for row in runs.task_rows(tx, ids):
                view.observe(runs.facts(row))
        decision = decide(view, now, batch=batch)
        while decision.asks:
            self._pasts.answer(tx, view, decision.asks)
            decision.join(decide(view, now, batch=batch - len(decision.moves)))
        return decision

    def _apply_moves(self, tx: Tx, run: RunRow, view: RunView, decision: Decision, changes: Changes) -> bool:
        """Write the moves; return whether any of them was lost to somebody else."""
        ids = [view.tasks[move.position].facts.ti_id for move in decision.moves]
        rows = {row.id: row for row in runs.task_rows(tx, ids)}
        moves = []
        for ti_id, move in zip(
            ids, decision.moves, strict=True
        ):  # in the order of the decision: causes first
            row = rows[ti_id]
            if row.state is move.old:
                moves.append(TaskMove(row, _moved(tx, row, move)))
        won = move_tasks(tx, moves, self._context.by)
        for row in won:
            changes.add_task(run, rows[row.id], row, tx.now)
        self._clean_up(tx, view, [(rows[row.id], row) for row in won], changes)
        return len(won) != len(ids)

    def _clean_up(
        self, tx: Tx, view: RunView, moved: list[tuple[TaskRow, TaskRow]], changes: Changes
    ) -> None:
        cancelled = [(old, new) for old, new in moved if new.state is TaskState.CANCELLED]
        if not cancelled:
            return
        revoke.clean_up(tx, cancelled, _why(view.spec, cancelled[0][1].reason))
        names = runs.executors_of(tx, [old.id for old, _ in cancelled])
        changes.revoked += [
            (names[old.id], AttemptKey(old.id, old.epoch)) for old, _ in cancelled if old.state in OCCUPYING
        ]

    def _finish(self, tx: Tx, run: RunRow, view: RunView, decision: Decision, changes: Changes) -> None:
        if decision.run_state is not None:
            move = RunMove(run.run_pk, run.version, run.state, decision.run_state, reason=decision.run_reason)
            if move_run(tx, move, self._context.by):
                changes.add_run(run, decision.run_state, tx.now)
            self._drop(run.run_pk)
            return
        due_at = None if decision.due_at is None else to_micros(decision.due_at)
        if bump_run(tx, run.run_pk, run.version, due_at):
            view.version = run.version + 1
        else:
            self._drop(run.run_pk)

    def _view(self, tx: Tx, run: RunRow, named: list[int]) -> RunView:
        """Return a view that knows all that `tx` sees of the run, whose wake-ups name these task instances."""
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
        facts = [runs.facts(row) for row in runs.rows_of_run(tx, run.run_pk)]
        view = RunView(run.run_pk, run.version, spec, facts, _deadline(tx, run, spec))
        self._keep(view)
        return view

    def _keep(self, view: RunView) -> None:
        self._views[view.run_pk] = view
        self._viewed_tasks += len(view.tasks)
        while self._viewed_tasks > VIEWED_TASKS and len(self._views) > 1:
            self._drop(next(iter(self._views)))

    def _drop(self, run_pk: int) -> None:
        self._pasts.drop(run_pk)
        view = self._views.pop(run_pk, None)
        if view is not None:
            self._viewed_tasks -= len(view.tasks)

    def _quarantined(self) -> list[int]:
        now = monotonic()
        self._quarantine = {run_pk: until for run_pk, until in self._quarantine.items() if until > now}
        return list(self._quarantine)


def _deadline(tx: Tx, run: RunRow, spec: DagSpec) -> datetime | None:
    """Return when the time of a run is over; nothing is read for a DAG without `dagrun_timeout`."""
    if spec.dagrun_timeout_seconds is None:
        return None
    started_at = runs.started_at(tx, run.run_pk)
    if started_at is None:
        return None
    return from_micros(started_at) + timedelta(seconds=spec.dagrun_timeout_seconds)


def _moved(tx: Tx, row: TaskRow, move: Move) -> TaskRow:
    if move.new is TaskState.CANCELLED:
        return revoke.revoked(tx, row, move.reason or "")
    return replace(row, state=move.new, reason=move.reason, detail=None, due_at=None)


def _why(spec: DagSpec, reason: str | None) -> str:
    """Return a line for the log of an attempt that was ended."""
    if reason == TIMED_OUT:
        return f"ended: the run took longer than its dagrun_timeout of {spec.dagrun_timeout_seconds:g} s"
    return "ended: another task of the run has failed, and the DAG has fail_fast"
