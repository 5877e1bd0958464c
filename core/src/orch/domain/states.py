"""The states of task instances and runs, and the published table of allowed moves T1-T16."""

from dataclasses import dataclass
from enum import StrEnum


class TaskState(StrEnum):
    """Where one task instance is in its life."""

    NONE = "none"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    UP_FOR_RETRY = "up_for_retry"
    UP_FOR_RESCHEDULE = "up_for_reschedule"
    DEFERRED = "deferred"
    AWAITING_INPUT = "awaiting_input"
    UPSTREAM_FAILED = "upstream_failed"
    REMOVED = "removed"
    CANCELLED = "cancelled"


class RunState(StrEnum):
    """Where one dag run is in its life; derived from its task instances once it is running."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Actor(StrEnum):
    """Who moves a state; written beside every move in the history."""

    SCHEDULER = "scheduler"
    WORKER = "worker"
    RESCUE = "rescue"
    TRIGGERER = "triggerer"
    OPERATOR = "operator"


_T = TaskState
TERMINAL = frozenset({_T.SUCCESS, _T.FAILED, _T.SKIPPED, _T.UPSTREAM_FAILED, _T.REMOVED, _T.CANCELLED})
OPEN = frozenset(TaskState) - TERMINAL
OCCUPYING = frozenset({_T.QUEUED, _T.RUNNING})
FAILED_STATES = frozenset({_T.FAILED, _T.UPSTREAM_FAILED})
RUN_TERMINAL = frozenset({RunState.SUCCESS, RunState.FAILED, RunState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the published table: who may move which states to which, and under what guard."""

    name: str
    old: frozenset[TaskState]
    new: frozenset[TaskState]
    actors: frozenset[Actor]
    guard: str


def _row(
    name: str, old: set[TaskState] | frozenset[TaskState], new: set[TaskState], who: set[Actor], guard: str
) -> Transition:
    return Transition(name, frozenset(old), frozenset(new), frozenset(who), guard)


TRANSITIONS: tuple[Transition, ...] = (
    _row(
        "T1",
        {_T.NONE, _T.UP_FOR_RETRY, _T.UP_FOR_RESCHEDULE},
        {_T.SCHEDULED},
        {Actor.SCHEDULER},
        "under the run lock; the trigger rule holds and the due time has passed",
    ),
    _row(
        "T2",
        {_T.SCHEDULED},
        {_T.QUEUED},
        {Actor.SCHEDULER},
        "under the limit locks, limits counted in the next statement; new epoch; dispatch row",
    ),
    _row(
        "T3",
        {_T.QUEUED},
        {_T.RUNNING},
        {Actor.WORKER},
        "state queued and epoch equal; nonce of the claimant; the same claim again gets the same answer",
    ),
    _row(
        "T5",
        {_T.RUNNING},
        {_T.SUCCESS, _T.FAILED, _T.UP_FOR_RETRY, _T.SKIPPED},
        {Actor.WORKER},
        "epoch and nonce equal; result, XCom and wake-up in the same transaction",
    ),
    _row(
        "T6",
        {_T.RUNNING},
        {_T.DEFERRED, _T.UP_FOR_RESCHEDULE, _T.AWAITING_INPUT},
        {Actor.WORKER},
        "epoch and nonce equal; ends this epoch and keeps the try",
    ),
    _row(
        "T7",
        {_T.DEFERRED, _T.AWAITING_INPUT},
        {_T.SCHEDULED, _T.FAILED, _T.SKIPPED},
        {Actor.TRIGGERER, Actor.OPERATOR, Actor.SCHEDULER},
        "trigger lease and epoch; or the timeout of the wait",
    ),
    _row(
        "T8",
        {_T.RUNNING},
        {_T.SCHEDULED, _T.UP_FOR_RETRY, _T.FAILED},
        {Actor.RESCUE},
        "the holder is dead, its lease is over, or it no longer names the attempt; new epoch",
    ),
    _row(
        "T9",
        {_T.QUEUED},
        {_T.SCHEDULED},
        {Actor.SCHEDULER},
        "the executor disowns the epoch or idle consumers leave it unclaimed; new epoch; no try used",
    ),
    _row(
        "T10",
        {_T.NONE, _T.SCHEDULED},
        {_T.SKIPPED, _T.UPSTREAM_FAILED, _T.REMOVED},
        {Actor.SCHEDULER},
        "under the run lock; the trigger rule can no longer hold, or the task is gone from the version",
    ),
    _row(
        "T11",
        TERMINAL | {_T.SCHEDULED, _T.QUEUED},
        {_T.NONE},
        {Actor.OPERATOR},
        "clear: under the run lock; new try, new epoch, audit row",
    ),
    _row(
        "T12",
        OPEN,
        {_T.CANCELLED, _T.SUCCESS, _T.FAILED, _T.SKIPPED},
        {Actor.OPERATOR, Actor.SCHEDULER},
        "cancel, mark, or a timeout: under the run lock; new epoch; dispatch, trigger and timer removed",
    ),
    _row(
        "T13",
        TERMINAL,
        {_T.SUCCESS, _T.FAILED, _T.SKIPPED},
        {Actor.OPERATOR},
        "mark: under the run lock; audit row; the run's state is derived anew",
    ),
    _row(
        "T15",
        {_T.RUNNING},
        {_T.SCHEDULED},
        {Actor.WORKER},
        "drain: handed back at once, no try used",
    ),
)
"""T4 (heartbeat) and T14 (expansion) move no state of an existing row; T16 is `RUN_TRANSITIONS`."""

RUN_TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.CANCELLED, RunState.FAILED}),
    RunState.RUNNING: frozenset({RunState.SUCCESS, RunState.FAILED, RunState.CANCELLED}),
    RunState.SUCCESS: frozenset({RunState.RUNNING}),
    RunState.FAILED: frozenset({RunState.RUNNING}),
    RunState.CANCELLED: frozenset({RunState.RUNNING}),
}
"""T16: promotion, derivation from the tasks, and reopening by a clear (T11)."""


def find_transition(old: TaskState, new: TaskState, actor: Actor) -> Transition | None:
    """Return the first row of the table that allows this move, or None when the move is illegal."""
    for row in TRANSITIONS:
        if old in row.old and new in row.new and actor in row.actors and old is not new:
            return row
    return None


ALLOWED: frozenset[tuple[TaskState, TaskState, Actor]] = frozenset(
    (old, new, actor)
    for old in TaskState
    for new in TaskState
    for actor in Actor
    if find_transition(old, new, actor)
)
"""Every legal (old, new, actor) triple, for a check by one set lookup."""
