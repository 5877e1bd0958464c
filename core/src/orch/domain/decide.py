"""The decision of one run: which task instances move now, whether the run has ended, when to look again."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orch.domain.past import hold_of, needs_past
from orch.domain.run_view import TIMED_OUT, RunView
from orch.domain.states import OPEN, RunState, TaskState
from orch.domain.trigger_rules import Verdict, evaluate

FAILED_FAST = "fail_fast"
LOOK_AGAIN = timedelta(seconds=10)
"""A run that the run before holds back is looked at so often even if nobody wakes it: the run before may change."""


@dataclass(frozen=True, slots=True)
class Move:
    """One task instance moves; `reason` is a code of `domain.reasons`."""

    position: int
    old: TaskState
    new: TaskState
    reason: str | None


@dataclass(slots=True)
class Decision:
    """The effects of one decision, to be applied in one transaction."""

    moves: list[Move] = field(default_factory=list)
    run_state: RunState | None = None
    run_reason: str | None = None
    """Why the run ended before its time; None when its tasks decided."""
    due_at: datetime | None = None
    """When the run needs another look even if nobody wakes it; `now` when the batch was cut."""
    asks: set[int] = field(default_factory=set)
    """Positions that need to know the past: `RunView.tell_past` each, and decide again in the same transaction."""
    holds: dict[int, str] = field(default_factory=dict)
    """Positions that the run before holds back since this decision, with the reason."""

    def join(self, later: "Decision") -> None:
        """Take in the decision that followed this one in the same transaction."""
        self.moves += later.moves
        self.run_state, self.run_reason, self.due_at = later.run_state, later.run_reason, later.due_at
        self.asks = later.asks
        self.holds |= later.holds


_OUTCOMES: dict[Verdict, tuple[TaskState, str | None]] = {
    Verdict.RUN: (TaskState.SCHEDULED, None),
    Verdict.SKIP: (TaskState.SKIPPED, "skipped_by_trigger_rule"),
    Verdict.UPSTREAM_FAILED: (TaskState.UPSTREAM_FAILED, "upstream_failed"),
}


def decide(view: RunView, now: datetime, *, batch: int = 500) -> Decision:
    """Drain what is pending in `view`, at most `batch` moves, and return the effects.

    The view is the caller's working memory and is advanced as if the effects were applied; when they are not,
    the caller throws the view away. Cost: O(downstream edges of what ended), whatever the size of the run.
    When the run must end (`must_end`) the view has to know the states of this moment: see `left_to_end`.
    """
    decision = Decision()
    if (why := must_end(view, now)) is not None:
        _end(view, decision, why, batch)
    view.look_at_past(now)
    while len(decision.moves) < batch and (position := view.pop_due(now)) is not None:
        _move(view, decision, position, TaskState.SCHEDULED, None)
    while len(decision.moves) < batch and view.pending:
        _look_at(view, decision, view.pending.popleft())
    view.pasts.clear()
    if view.open_count == 0:
        decision.run_state, decision.run_reason = derive_run_end(view)
    else:
        decision.due_at = _due_at(view, now)
    return decision


def must_end(view: RunView, now: datetime) -> str | None:
    """Return why what is left of the run has to end now; None while it may go on."""
    if view.open_count == 0:
        return None
    if view.has_timed_out or (view.deadline is not None and view.deadline <= now):
        return TIMED_OUT
    return FAILED_FAST if view.has_failed_fast else None


def left_to_end(view: RunView, why: str) -> list[int]:
    """Return the positions that `why` ends. Teardown tasks stay with their trigger rules when a task has failed."""
    return [
        position
        for position, task in enumerate(view.tasks)
        if task.facts.state in OPEN and (why == TIMED_OUT or not task.spec.is_teardown)
    ]


def derive_run_end(view: RunView) -> tuple[RunState, str | None]:
    """Return the state of a run whose tasks have all ended, and why it ended before its time, if it did.

    A run that was out of time, or whose DAG has `fail_fast` and a failed task, has failed. Otherwise its leaves
    decide: a failed leaf fails the run, a cancelled one cancels it, else it is a success; a failure that a later
    task has dealt with (`all_done`, `one_failed`) does not count.
    """
    if view.has_timed_out or view.has_failed_fast:
        return RunState.FAILED, TIMED_OUT if view.has_timed_out else FAILED_FAST
    leaves = {task.facts.state for task in view.tasks if not task.downstream}
    if leaves & {TaskState.FAILED, TaskState.UPSTREAM_FAILED}:
        return RunState.FAILED, None
    return (RunState.CANCELLED if TaskState.CANCELLED in leaves else RunState.SUCCESS), None


def _look_at(view: RunView, decision: Decision, position: int) -> None:
    task = view.tasks[position]
    if task.facts.state is not TaskState.NONE:
        return
    verdict = evaluate(task.rule, task.counts)
    if verdict is Verdict.WAIT:
        return
    if verdict is Verdict.RUN and needs_past(task.spec) and not _past_allows(view, decision, position):
        return
    new, reason = _OUTCOMES[verdict]
    _move(view, decision, position, new, reason)


def _past_allows(view: RunView, decision: Decision, position: int) -> bool:
    task = view.tasks[position]
    past = view.pasts.pop(position, None)
    if past is None:
        decision.asks.add(position)
        return False
    decision.asks.discard(position)
    hold = hold_of(task.spec, past)
    if hold is None:
        return True
    view.held[position] = hold.reason
    if task.facts.reason != hold.reason:
        task.facts.reason = hold.reason
        decision.holds[position] = hold.reason
    return False


def _end(view: RunView, decision: Decision, why: str, batch: int) -> None:
    """End what is left: what has begun is cancelled, what has not is skipped."""
    for position in left_to_end(view, why)[:batch]:
        facts = view.tasks[position].facts
        fresh = facts.state in (TaskState.NONE, TaskState.SCHEDULED) and not facts.has_begun
        _move(view, decision, position, TaskState.SKIPPED if fresh else TaskState.CANCELLED, why)


def _due_at(view: RunView, now: datetime) -> datetime | None:
    if view.pending or _is_left(view, now):
        return now
    if view.held and view.look_again_at is None:
        view.look_again_at = now + LOOK_AGAIN
    moments = (view.next_due_at(), view.deadline, view.look_again_at if view.held else None)
    return min((moment for moment in moments if moment is not None), default=None)


def _is_left(view: RunView, now: datetime) -> bool:
    """Return whether a batch was too small for an end of the run."""
    why = must_end(view, now)
    return why is not None and bool(left_to_end(view, why))


def _move(view: RunView, decision: Decision, position: int, new: TaskState, reason: str | None) -> None:
    old = view.tasks[position].facts.state
    decision.moves.append(Move(position, old, new, reason))
    view.set_state(position, new, reason)
