"""The one door for state: the only module that writes a state column, always as a compare-and-set with history."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orch.domain.states import ALLOWED, RUN_TRANSITIONS, Actor, RunState, TaskState
from orch.store.engine import Tx


class IllegalMove(AssertionError):
    """A move that the table of transitions does not have: a bug in the caller, never a race."""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """The part of a task_instance row that moves read and write."""

    id: int
    run_pk: int
    dag_pk: int
    task_id: str
    map_index: int
    state: TaskState
    version: int
    epoch: int
    try_number: int
    next_try: int
    max_tries: int
    dag_version_id: int
    infra_losses: int
    due_at: int | None
    started_at: int | None
    ended_at: int | None
    reason: str | None
    detail: str | None = None


TASK_COLUMNS = (
    "id, run_pk, dag_pk, task_id, map_index, state, version, epoch, try_number, next_try, max_tries,"
    " dag_version_id, infra_losses, due_at, started_at, ended_at, reason, reason_detail"
)
"""The columns of a TaskRow, in its order."""


@dataclass(frozen=True, slots=True)
class TaskMove:
    """From `row`, exactly as it was read, to `to`. Both carry the same id; `to.version` is not used."""

    row: TaskRow
    to: TaskRow


@dataclass(frozen=True, slots=True)
class By:
    """Who moves, for the history."""

    actor: Actor
    id: str


def task_row(values: tuple[object, ...]) -> TaskRow:
    """Return the TaskRow of a row selected by TASK_COLUMNS."""
    return TaskRow(*values[:5], TaskState(str(values[5])), *values[6:])  # type: ignore[arg-type,call-arg] # in order


def move_tasks(tx: Tx, moves: Sequence[TaskMove], by: By) -> list[TaskRow]:
    """Move each task instance that still is as it was read; return the new rows of those that moved.

    A loser (another transaction was first) is left out and nothing is raised. Each move writes one history row
    in this transaction and raises the version by one.
    """
    if not moves:
        return []
    for move in moves:
        if (move.row.state, move.to.state, by.actor) not in ALLOWED:
            raise IllegalMove(
                f"{move.row.state} -> {move.to.state} by {by.actor} (task instance {move.row.id})"
            )
    won = _compare_and_set(tx, list(moves))
    tx.many(_HISTORY, [_history(move, by, tx.now) for move in won])
    return [replace(move.to, version=move.row.version + 1) for move in won]


_UPDATE = """
UPDATE task_instance SET state = ?, version = version + 1, epoch = ?, try_number = ?, next_try = ?,
  infra_losses = ?, due_at = ?, started_at = ?, ended_at = ?, reason = ?, reason_detail = ?, state_since = ?
WHERE id = ? AND version = ? AND state = ? AND epoch = ?
"""

_HISTORY = """
INSERT INTO ti_history (ti_id, version, old, new, epoch, try_number, actor, actor_id, reason, at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def _compare_and_set(tx: Tx, moves: list[TaskMove]) -> list[TaskMove]:
    """Try all at once; when somebody lost, undo and go one by one to see who."""
    rows = [_values(move, tx.now) for move in moves]
    tx.execute("SAVEPOINT moves")
    if tx.many(_UPDATE, rows) == len(rows):
        tx.execute("RELEASE moves")
        return moves
    tx.execute("ROLLBACK TO moves")
    tx.execute("RELEASE moves")
    return [move for move, row in zip(moves, rows, strict=True) if tx.many(_UPDATE, [row]) == 1]


def _values(move: TaskMove, now: int) -> tuple[object, ...]:
    row, to = move.row, move.to
    return (
        to.state, to.epoch, to.try_number, to.next_try, to.infra_losses, to.due_at, to.started_at, to.ended_at,
        to.reason, to.detail, now, row.id, row.version, row.state, row.epoch,
    )  # fmt: skip


def _history(move: TaskMove, by: By, now: int) -> tuple[object, ...]:
    row, to = move.row, move.to
    return (
        row.id, row.version + 1, row.state, to.state, to.epoch, to.try_number, by.actor, by.id, to.reason, now,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunMove:
    """One run's move; `version` is the run's version as it was read."""

    run_pk: int
    version: int
    old: RunState
    new: RunState
    reason: str | None = None
    due_at: int | None = None


def move_run(tx: Tx, move: RunMove, by: By) -> bool:
    """Move a run that still is as it was read, with a history row; return whether it moved.

    `started_at` is set by the first promotion, `ended_at` by an end and taken back by a reopening.
    """
    if move.new not in RUN_TRANSITIONS[move.old]:
        raise IllegalMove(f"run {move.run_pk}: {move.old} -> {move.new}")
    starts = move.new is RunState.RUNNING
    started_at, ended_at = (tx.now, None) if starts else (None, tx.now)
    guard = (move.run_pk, move.version, move.old)
    if tx.many(_UPDATE_RUN, [(move.new, started_at, ended_at, move.reason, move.due_at, *guard)]) != 1:
        return False
    tx.many(_RUN_HISTORY, [(move.run_pk, move.old, move.new, by.actor, by.id, move.reason, tx.now)])
    return True


_RUN_HISTORY = """
INSERT INTO run_history (run_pk, old, new, actor, actor_id, reason, at) VALUES (?, ?, ?, ?, ?, ?, ?)
"""


_UPDATE_RUN = """
UPDATE dag_run SET state = ?, version = version + 1, started_at = COALESCE(started_at, ?), ended_at = ?,
  reason = ?, due_at = ?
WHERE id = ? AND version = ? AND state = ?
"""


def bump_run(tx: Tx, run_pk: int, version: int, due_at: int | None) -> bool:
    """Raise the version of an open run that still is as it was read and set when it is due next."""
    return (
        tx.many(
            "UPDATE dag_run SET version = version + 1, due_at = ? WHERE id = ? AND version = ?",
            [(due_at, run_pk, version)],
        )
        == 1
    )
