"""The past: what the tasks of the run before say of a task instance that depends on them."""

from dataclasses import dataclass

from orch.domain.dagspec import TaskSpec
from orch.domain.states import TaskState

PASSED = frozenset({TaskState.SUCCESS, TaskState.SKIPPED, TaskState.REMOVED})
"""States of a task of the run before in which it holds nobody; a removed one is as good as absent."""
REPEATS = "repeats_the_past"
"""The reason of a promotion beyond the run limit: active runs wait for the date that the run repeats."""


@dataclass(frozen=True, slots=True)
class Past:
    """What one task instance finds in the run before; empty when there is no such run, or no such task in it."""

    own: TaskState | None = None
    """The state of the same task instance there; None when it has none."""
    downstream: tuple[tuple[str, TaskState], ...] = ()
    """Task id and state of each instance directly downstream of it there, by the version of that run."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a task instance waits for the run before."""

    reason: str
    """A code of `domain.reasons`."""
    blocking: tuple[str, ...]
    """Ids of tasks of the run before, each once."""


def needs_past(task: TaskSpec) -> bool:
    """Return whether the run before has a say in when this task runs."""
    return task.depends_on_past or task.wait_for_downstream


def hold_of(task: TaskSpec, past: Past) -> Hold | None:
    """Return what holds the task back, or None when the run before lets it run."""
    if not needs_past(task):
        return None
    if past.own is not None and past.own not in PASSED:
        return Hold("depends_on_past", (task.task_id,))
    if task.wait_for_downstream:
        open_ones = dict.fromkeys(task_id for task_id, state in past.downstream if state not in PASSED)
        if open_ones:
            return Hold("wait_for_downstream", tuple(open_ones))
    return None
