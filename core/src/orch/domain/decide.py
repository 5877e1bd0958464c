"""The decision of one run: which task instances move now, whether the run has ended, when to look again."""

from dataclasses import dataclass, field
from datetime import datetime

from orch.domain.run_view import RunView
from orch.domain.states import RunState, TaskState
from orch.domain.trigger_rules import Verdict, evaluate


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
    due_at: datetime | None = None
    """When the run needs another look even if nobody wakes it; `now` when the batch was cut."""


_OUTCOMES: dict[Verdict, tuple[TaskState, str | None]] = {
    Verdict.RUN: (TaskState.SCHEDULED, None),
    Verdict.SKIP: (TaskState.SKIPPED, "skipped_by_trigger_rule"),
    Verdict.UPSTREAM_FAILED: (TaskState.UPSTREAM_FAILED, "upstream_failed"),
}


def decide(view: RunView, now: datetime, *, batch: int = 500) -> Decision:
    """Drain what is pending in `view`, at most `batch` moves, and return the effects.

    The view is the caller's working memory and is advanced as if the effects were applied; when they are not,
    the caller throws the view away. Cost: O(downstream edges of what ended), whatever the size of the run.
    """
    decision = Decision()
    while len(decision.moves) < batch and (position := view.pop_due(now)) is not None:
        _move(view, decision, position, TaskState.SCHEDULED, None)
    while len(decision.moves) < batch and view.pending:
        position = view.pending.popleft()
        task = view.tasks[position]
        if task.facts.state is not TaskState.NONE:
            continue
        verdict = evaluate(task.rule, task.counts)
        if verdict is not Verdict.WAIT:
            new, reason = _OUTCOMES[verdict]
            _move(view, decision, position, new, reason)
    if view.open_count == 0:
        decision.run_state = derive_run_state(view)
    else:
        decision.due_at = now if view.pending else view.next_due_at()
    return decision


def derive_run_state(view: RunView) -> RunState:
    """Return the state of a run whose tasks have all ended: its leaves decide.

    A failed leaf fails the run, a cancelled one cancels it, otherwise it is a success: a failure that a later
    task has dealt with (`all_done`, `one_failed`) does not count.
    """
    leaves = {task.facts.state for task in view.tasks if not task.downstream}
    if leaves & {TaskState.FAILED, TaskState.UPSTREAM_FAILED}:
        return RunState.FAILED
    return RunState.CANCELLED if TaskState.CANCELLED in leaves else RunState.SUCCESS


def _move(view: RunView, decision: Decision, position: int, new: TaskState, reason: str | None) -> None:
    old = view.tasks[position].facts.state
    decision.moves.append(Move(position, old, new, reason))
    view.set_state(position, new)
