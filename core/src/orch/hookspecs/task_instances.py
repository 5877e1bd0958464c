"""Task instances: what plugins hear of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orch.domain.states import TaskState
from orch.hookspecs.markers import hookspec


@dataclass(frozen=True, slots=True)
class TaskInstanceChange:
    """One task instance has moved from one state to another."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    """-1 when the task is not mapped."""
    old: TaskState
    new: TaskState
    try_number: int
    """Tries started so far."""
    at: datetime
    """When the move was committed, aware UTC."""


@hookspec
def on_task_instances_changed(changes: Sequence[TaskInstanceChange]) -> None:
    """Observe task instances whose state has changed.

    What it raises is logged with the plugin's name and changes nothing else; after ten failures in a row this
    process no longer calls it. A process that is killed after the commit leaves its batch untold.

    Kind: observer
    Caller: the scheduler and the worker
    Moment: after the commit, once per batch, never with an empty one
    Transaction: none
    Thread: the main thread of the caller, which waits for it
    Since: 0.1
    """
