"""The decider: takes in what has changed, lets `domain.decide` decide, and applies the effects."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from orch.clock import Clock
from orch.domain.decide import Decision, decide, left_to_end, must_end
from orch.domain.decide import Move as Wanted
from orch.domain.past import Past
from orch.domain.run_view import RunView
from orch.domain.states import RunState, TaskState
from orch.inprocess import protocol
from orch.inprocess.admission import Admission
from orch.inprocess.execution import REVOKED
from orch.inprocess.locks import MakeLock, Rank
from orch.inprocess.rows import Instance, Move
from orch.inprocess.state_store import TaskStateStore
from orch.inprocess.tables import Tables


class Decider:
    """Any thread may call `step`; the run lock lets one in at a time. There is no leader."""

    def __init__(
        self, store: TaskStateStore, pools: Mapping[str, int], clock: Clock, make_lock: MakeLock
    ) -> None:
        self._store = store
        self._clock = clock
        self._lock = make_lock(Rank.RUN)
        self._admission = Admission(store.spec, pools, clock)
        self._view: RunView | None = None
        self.due_at: datetime | None = None
        """When the next step is due even if nobody reports; written under the run lock."""

    def start(self) -> None:
        """Let the run begin."""
        limit = self._store.spec.dagrun_timeout_seconds
        with self._lock, self._store.locked() as tables:
            tables.deadline = None if limit is None else self._clock() + timedelta(seconds=limit)
            tables.move_run(RunState.RUNNING)

    def step(self) -> None:
        """Decide until nothing follows, admit what has its slots, and end the run when all tasks have ended.

        Cost: the downstream edges of what has ended, whatever the size of the run.
        """
        with self._lock:
            while not self._decide_once():
                continue

    def is_idle(self) -> bool:
        """Return whether nothing is under way: nobody has a slot, and no decision is due or in progress."""
        with self._lock, self._store.locked() as tables:
            return not (tables.occupying or tables.wakeups or tables.has_ended)

    def _decide_once(self) -> bool:
        """Return False when somebody was quicker, so that the decision rests on what is no longer true."""
        with self._store.locked() as tables:
            if tables.has_ended:
                return True
            view = self._view_of(tables)
            now = self._clock()
            if (
                why := must_end(view, now)
            ) is not None:  # claims wake nobody, and matter when the run must end
                for position in left_to_end(view, why):
                    view.observe(tables.rows[view.tasks[position].facts.ti_id].facts())
        decision = _decided(view, now)
        with self._store.locked() as tables:
            won = self._apply(tables, view, decision, now)
            self._admission.admit(tables)
            self._finish(tables, decision, is_final=won)
        return won

    def _view_of(self, tables: Tables) -> RunView:
        """Return a view that knows all changes so far; what became scheduled meanwhile waits for admission."""
        changed = [tables.rows[ti_id] for ti_id in dict.fromkeys(tables.wakeups)]
        tables.wakeups.clear()
        for row in changed:
            if row.state is TaskState.SCHEDULED:
                self._admission.add(row)
        view = self._view
        if view is None or not _knows(view, changed):
            rows = [row.facts() for row in tables.rows.values()]
            view = self._view = RunView(0, 0, self._store.spec, rows, tables.deadline)
        return view

    def _apply(self, tables: Tables, view: RunView, decision: Decision, now: datetime) -> bool:
        pairs = [(tables.rows[view.tasks[each.position].facts.ti_id], each) for each in decision.moves]
        moves = [Move(row, _moved(row, wanted)) for row, wanted in pairs if row.state is wanted.old]
        for row in tables.move(moves, protocol.SCHEDULER, now):
            if row.state is TaskState.SCHEDULED:
                self._admission.add(row)
        for move in moves:
            key = (move.row.id, move.row.epoch)
            if key in tables.open_attempts and move.to.epoch > move.row.epoch:
                tables.end_attempt(key, REVOKED, error=move.to.reason)
                tables.needs_attention = True
        if len(moves) < len(decision.moves):
            self._view = None
            return False
        return True

    def _finish(self, tables: Tables, decision: Decision, *, is_final: bool) -> None:
        if not is_final:
            return
        if decision.run_state is not None:
            tables.move_run(decision.run_state, decision.run_reason)
            self.due_at = None
        elif decision.due_at != self.due_at or not tables.occupying:
            self.due_at = decision.due_at
            tables.needs_attention = True


def _knows(view: RunView, changed: list[Instance]) -> bool:
    """Tell the view of every change; return whether it could take all of them in."""
    told = [view.observe(row.facts()) for row in changed]
    return all(told)


def _decided(view: RunView, now: datetime) -> Decision:
    most = 2 * len(view.tasks) + 1  # never cut: each task moves at most once in a decision
    decision = decide(view, now, batch=most)
    while decision.asks:  # there is no run before in this process
        for position in list(decision.asks):
            view.tell_past(position, Past())
        decision.join(decide(view, now, batch=most))
    return decision


def _moved(row: Instance, wanted: Wanted) -> Instance:
    if wanted.new is TaskState.CANCELLED:
        return protocol.revoked(row, wanted.new, wanted.reason)
    return replace(row, state=wanted.new, reason=wanted.reason, detail=None, due_at=None)
