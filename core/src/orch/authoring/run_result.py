"""The result of a run in this process: what `DAG.test()` returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orch.domain.states import FAILED_STATES, Actor, RunState, TaskState
from orch.errors import NotFound, OrchError, nearest


class RunFailed(OrchError):
    """The run did not succeed."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """One task instance moved: a row of the history, in the order of `seq`."""

    seq: int
    """1 for the first move of the run, without gaps."""
    ti_id: int
    task_id: str
    version: int
    """1 for the first move of the task instance, without gaps."""
    old: TaskState
    new: TaskState
    epoch: int
    try_number: int
    actor: Actor
    actor_id: str
    """Name of the thread for what a worker did."""
    reason: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class FailedTry:
    """One try that failed."""

    task_id: str
    try_number: int
    message: str
    """One line."""
    traceback: str | None
    """From the first frame of the task's own code on; None when the message says all."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """One finished run. Nothing of it is stored anywhere."""

    dag_id: str
    run_id: str
    state: RunState
    states: Mapping[str, TaskState]
    """The end of each task, in the order in which tasks may run."""
    xcoms: Mapping[str, Mapping[str, Any]] = field(repr=False)
    """Values by task id and key; a task that handed over nothing is absent."""
    failures: tuple[FailedTry, ...] = field(repr=False)
    """Every try that failed, in the order of their ends, also those that a later try made good."""
    history: tuple[StateChange, ...] = field(repr=False)
    stuck: tuple[str, ...] = ()
    """Task ids whose code was still running in a thread when the run was over; no thread can be killed."""

    @property
    def results(self) -> dict[str, Any]:
        """What each task returned; one that returned nothing is absent."""
        return {
            task_id: values["return_value"]
            for task_id, values in self.xcoms.items()
            if "return_value" in values
        }

    @property
    def errors(self) -> dict[str, FailedTry]:
        """The last failed try of each task that ended as failed."""
        return {
            failure.task_id: failure
            for failure in self.failures
            if self.states[failure.task_id] is TaskState.FAILED
        }

    def tries(self, task_id: str) -> int:
        """Return how often the task was started."""
        if task_id not in self.states:
            raise NotFound(f"DAG {self.dag_id!r} has no task {task_id!r}{nearest(task_id, self.states)}")
        return sum(change.task_id == task_id and change.new is TaskState.RUNNING for change in self.history)

    def raise_for_state(self) -> "RunResult":
        """Return this result when the run succeeded; raise RunFailed, tracebacks included, when it did not."""
        if self.state is RunState.SUCCESS:
            return self
        ended = [f"{task_id}: {state}" for task_id, state in self.states.items() if state in FAILED_STATES]
        parts = [f"run {self.run_id!r} of DAG {self.dag_id!r} ended as {self.state} ({', '.join(ended)})"]
        for failure in self.errors.values():
            parts.append(f"task {failure.task_id!r}, try {failure.try_number}: {failure.message}")
            if failure.traceback:
                parts.append(failure.traceback.rstrip())
        raise RunFailed("\n\n".join(parts))
