"""The rows of the state store: a task instance, an attempt, and the moves between states, as frozen values."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from orch.clock import EPOCH
from orch.domain.ageing import DEFAULT_AGEING_SECONDS, head_start
from orch.domain.dagspec import DagSpec, TaskSpec
from orch.domain.run_view import TaskFacts
from orch.domain.states import Actor, TaskState


@dataclass(frozen=True, slots=True)
class Instance:
    """One task instance. `version` counts its moves, `epoch` the grants of the right to run it."""

    id: int
    task_id: str
    max_tries: int
    head_start: int = 0
    """What its priority is worth, in microseconds of waiting."""
    state: TaskState = TaskState.NONE
    since: datetime = EPOCH
    """When it came into its state."""
    version: int = 0
    epoch: int = 0
    try_number: int = 0
    """Tries started."""
    next_try: int = 1
    """Number of the next start."""
    infra_losses: int = 0
    due_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    detail: str | None = None

    def facts(self) -> TaskFacts:
        """Return what a run view remembers of it."""
        return TaskFacts(
            self.id,
            self.task_id,
            -1,
            self.state,
            self.due_at,
            reason=self.reason,
            has_begun=self.try_number > 0,
        )


@dataclass(frozen=True, slots=True)
class Move:
    """From `row`, exactly as it was read, to `to`; `to.version` is not used."""

    row: Instance
    to: Instance


@dataclass(frozen=True, slots=True)
class By:
    """Who moves, for the history."""

    actor: Actor
    id: str


AttemptKey = tuple[int, int]
"""(ti_id, epoch)."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One grant of the right to run: open while `outcome` is None."""

    ti_id: int
    epoch: int
    nonce: str = field(repr=False)
    try_number: int
    holder: str
    """Name of the thread."""
    leased_until: float
    """On the monotonic clock."""
    timeout_at: float | None = None
    """When its execution timeout is over, on the monotonic clock."""
    outcome: str | None = None
    error: str | None = None
    traceback: str | None = None

    @property
    def key(self) -> AttemptKey:
        """What names it."""
        return self.ti_id, self.epoch


def instances_of(spec: DagSpec) -> Iterable[Instance]:
    """Yield a new task instance of each task, upstream tasks first, with ids from 1."""
    for number, task_id in enumerate(spec.graph.topological_order(), 1):
        task = spec.by_id[task_id]
        ahead = head_start(priority_of(task), DEFAULT_AGEING_SECONDS)
        yield Instance(number, task_id, task.retry.retries + 1, ahead)


def priority_of(task: TaskSpec) -> int:
    """Return what the weight rule made of the weights."""
    return task.priority_weight if task.priority is None else task.priority
