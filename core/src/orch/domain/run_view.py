"""The run view: what a scheduler keeps of one run, so that a finished task costs only its downstream edges."""

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orch.domain.dagspec import DagSpec, TaskSpec
from orch.domain.past import Past, needs_past
from orch.domain.states import OPEN, TERMINAL, TaskState
from orch.domain.trigger_rules import TriggerRule, UpstreamCounts


@dataclass(slots=True)
class TaskFacts:
    """What the store says of one task instance; the part of its row that decisions need."""

    ti_id: int
    task_id: str
    map_index: int
    state: TaskState
    due_at: datetime | None = None
    reason: str | None = None
    has_begun: bool = False
    """Whether a try of it was ever started."""


@dataclass(slots=True)
class TaskView:
    """One task instance in the view, with the counts of its upstreams."""

    facts: TaskFacts
    spec: TaskSpec
    rule: TriggerRule
    counts: UpstreamCounts
    downstream: list[int] = field(default_factory=list)
    counted: bool = False
    """Whether its end is in the counts of its downstreams already."""


class RunView:
    """One run in memory. `pending` holds the positions that must be looked at; decisions drain it.

    A view is valid while the run's version in the store equals `version`; otherwise it is built anew, which
    costs O(tasks + edges) once. From `deadline` on the run has no right to go on (`dagrun_timeout`).
    """

    def __init__(
        self,
        run_pk: int,
        version: int,
        spec: DagSpec,
        facts: Sequence[TaskFacts],
        deadline: datetime | None = None,
    ) -> None:
        self.run_pk = run_pk
        self.version = version
        self.spec = spec
        self.deadline = deadline
        self.has_timed_out = False
        self.has_failed_fast = False
        self.needs_past = any(map(needs_past, spec.tasks))
        self.pasts: dict[int, Past] = {}
        """What was read for positions that asked for it, used up by the next decision: the past may change."""
        self.held: dict[int, str] = {}
        """Positions that the run before holds back, with the reason."""
        self.look_again_at: datetime | None = None
        """When those are looked at again even if nobody wakes them."""
        self.tasks: list[TaskView] = []
        self.pending: deque[int] = deque()
        self.timers: list[tuple[datetime, int]] = []
        self.open_count = 0
        self._by_ti: dict[int, int] = {}
        self._build(facts)

    def position_of(self, ti_id: int) -> int | None:
        """Return the position of a task instance, or None when the view does not know it."""
        return self._by_ti.get(ti_id)

    def observe(self, facts: TaskFacts) -> bool:
        """Take in the newest facts of one task instance; return False when the view must be built anew."""
        position = self._by_ti.get(facts.ti_id)
        if position is None:
            return False
        task = self.tasks[position]
        was_open, is_open = task.facts.state in OPEN, facts.state in OPEN
        if is_open and not was_open:
            return False  # reopened by a clear: counts of downstreams would have to shrink
        task.facts = facts
        self.open_count -= was_open and not is_open
        self._watch(position, task)
        if position in self.held:
            self.look_again(position)
        return True

    def set_state(self, position: int, state: TaskState, reason: str | None = None) -> None:
        """Record a move that the decision in progress has made."""
        task = self.tasks[position]
        self.open_count -= task.facts.state in OPEN and state in TERMINAL
        task.facts.state = state
        task.facts.due_at = None
        task.facts.reason = reason
        self.held.pop(position, None)
        self._watch(position, task)

    def tell_past(self, position: int, past: Past) -> None:
        """Take in what the run before says of a task instance that asked, and look at it in the next decision."""
        self.pasts[position] = past
        self.pending.append(position)

    def look_again(self, position: int) -> None:
        """Look in the next decision at a task instance that the run before holds back, if it is still there."""
        if self.tasks[position].facts.state is TaskState.NONE:
            self.pending.append(position)
        else:
            del self.held[position]

    def look_at_past(self, now: datetime) -> None:
        """Look again at all that the run before holds back, when it is time for that."""
        if self.look_again_at is not None and self.look_again_at <= now:
            self.look_again_at = None
            for position in list(self.held):
                self.look_again(position)

    def downstream_of(self, position: int) -> Iterable[tuple[int, TaskView]]:
        """Yield position and view of each direct downstream."""
        for index in self.tasks[position].downstream:
            yield index, self.tasks[index]

    def pop_due(self, now: datetime) -> int | None:
        """Return the position of a task instance whose timer is due, or None."""
        while self.timers and self.timers[0][0] <= now:
            due_at, position = heapq.heappop(self.timers)
            if self.tasks[position].facts.due_at == due_at:
                return position
        return None

    def next_due_at(self) -> datetime | None:
        """Return when the next timer is due, or None."""
        while self.timers and self.tasks[self.timers[0][1]].facts.due_at != self.timers[0][0]:
            heapq.heappop(self.timers)
        return self.timers[0][0] if self.timers else None

    def _build(self, facts: Sequence[TaskFacts]) -> None:
        positions: dict[str, list[int]] = {}
        for position, row in enumerate(facts):
            spec = self.spec.by_id.get(row.task_id) or TaskSpec(row.task_id, "?")
            self.tasks.append(TaskView(row, spec, TriggerRule(spec.trigger_rule), UpstreamCounts()))
            self._by_ti[row.ti_id] = position
            positions.setdefault(row.task_id, []).append(position)
            self.open_count += row.state in OPEN
        for position, task in enumerate(self.tasks):
            for upstream in task.spec.upstream:
                for source in positions.get(upstream, ()):
                    self.tasks[source].downstream.append(position)
                    task.counts.total += 1
                    task.counts.setup_total += self.tasks[source].spec.is_setup
        for position, task in enumerate(self.tasks):
            if task.facts.state in TERMINAL:
                self._count_end(position, task)
            elif task.facts.state is TaskState.NONE:
                self.pending.append(position)
            self._watch_timer(position, task)

    def _watch(self, position: int, task: TaskView) -> None:
        if task.facts.state in TERMINAL and not task.counted:
            self._count_end(position, task)
            self.pending.extend(task.downstream)
        self._watch_timer(position, task)

    def _watch_timer(self, position: int, task: TaskView) -> None:
        if task.facts.due_at is not None and task.facts.state in _TIMED:
            heapq.heappush(self.timers, (task.facts.due_at, position))

    def _count_end(self, position: int, task: TaskView) -> None:
        task.counted = True
        self.has_timed_out |= task.facts.reason == TIMED_OUT
        self.has_failed_fast |= (
            self.spec.fail_fast and task.facts.state is TaskState.FAILED and not task.spec.is_teardown
        )
        for index in self.tasks[position].downstream:
            self.tasks[index].counts.add(task.facts.state, is_setup=task.spec.is_setup)


TIMED_OUT = "dagrun_timeout"
"""Reason of the task instances that the end of their run's time has ended: it outlives the view."""

_TIMED = frozenset({TaskState.UP_FOR_RETRY, TaskState.UP_FOR_RESCHEDULE})
