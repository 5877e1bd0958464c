"""Schedule cursors: per DAG the newest tick that was dealt with and the next one to come."""

from dataclasses import dataclass

from orch.clock import from_micros
from orch.domain.ticks import Cursor
from orch.store.engine import Tx
from orch.store.reader import ReadTx

UNKNOWN = 0
"""`next_tick_at` of a new or changed schedule: due at once, so that the scheduler computes it."""


@dataclass(frozen=True, slots=True)
class CursorRow:
    """Where one DAG's schedule stands; microseconds."""

    dag_pk: int
    dag_id: str
    last_tick_at: int | None
    next_tick_at: int | None


_LIVE = "JOIN dag d ON d.id = c.dag_pk WHERE NOT d.is_paused AND NOT d.is_missing"

_MAY_FOLLOW = """
AND (NOT c.follows_end OR NOT EXISTS (SELECT 1 FROM dag_run r WHERE r.dag_pk = c.dag_pk
  AND r.state IN ('queued', 'running') AND r.run_type = 'scheduled'))
"""
"""A continuous schedule has no tick while a run of it is open."""

AHEAD = 60_000_000
"""A newest tick so far in the future was dealt with by a clock that was wrong then or is wrong now."""
LATE = 60_000_000
"""A tick so long ago is made up for; it can wait for those that are on time."""


def due(tx: Tx, most_queued: int) -> list[int]:
    """Return the DAGs whose next tick has come: first those that are on time, then the longest overdue.

    Paused and missing ones are left out, those whose file cannot be imported now and whose sources are not
    stored (their tasks would all fail), continuous ones with an open run, and those with `most_queued` scheduled
    runs that have not begun.
    """
    rows = tx.rows(
        f"SELECT c.dag_pk FROM schedule_cursor c {_LIVE} AND c.next_tick_at <= ?1"
        " AND (d.bundle_id IS NOT NULL OR d.file NOT IN (SELECT path FROM import_error))"
        " AND (SELECT COUNT(*) FROM dag_run r WHERE r.dag_pk = c.dag_pk AND r.state = 'queued'"
        f"      AND r.state IN ('queued', 'running') AND r.run_type = 'scheduled') < ?2 {_MAY_FOLLOW}"
        " ORDER BY c.next_tick_at < ?1 - ?3, c.next_tick_at",
        (tx.now, most_queued, LATE),
    )
    return [dag_pk for (dag_pk,) in rows]


def next_at(tx: Tx) -> int | None:
    """Return when the next tick of any DAG comes that has not come yet."""
    rows = tx.rows(
        f"SELECT c.next_tick_at FROM schedule_cursor c {_LIVE} AND c.next_tick_at > ? {_MAY_FOLLOW}"
        " ORDER BY c.next_tick_at LIMIT 1",
        (tx.now,),
    )
    return rows[0][0] if rows else None


def get(tx: Tx, dag_pk: int) -> CursorRow | None:
    """Return the cursor of a DAG that may have ticks now: it is neither paused nor missing, nor waits for a run."""
    rows = tx.rows(
        f"SELECT c.dag_pk, d.dag_id, c.last_tick_at, c.next_tick_at FROM schedule_cursor c {_LIVE}"
        f" AND c.dag_pk = ? {_MAY_FOLLOW}",
        (dag_pk,),
    )
    return CursorRow(*rows[0]) if rows else None


def ahead(tx: Tx) -> list[int]:
    """Return the DAGs whose schedule was dealt with by a clock that was more than a minute ahead of this one.

    Their newest tick is yet to come, or their schedule was first seen then; a schedule that was set back already
    has `changed_at` ahead only as long as there are runs that were made ahead. Reads all cursors.
    """
    rows = tx.rows(
        f"SELECT c.dag_pk FROM schedule_cursor c {_LIVE} AND (c.last_tick_at > ?1 OR (c.changed_at > ?1"
        " AND c.since_tick_at IS NULL AND c.next_tick_at <> ?2 AND NOT EXISTS (SELECT 1 FROM dag_run r"
        "   WHERE r.dag_pk = c.dag_pk AND r.created_at >= c.changed_at - 1 AND r.run_type = 'scheduled')))"
        f" {_MAY_FOLLOW} ORDER BY c.dag_pk",
        (tx.now + AHEAD, UNKNOWN),
    )
    return [dag_pk for (dag_pk,) in rows]


def set_back(tx: Tx, dag_pk: int, last_tick_at: int, next_tick_at: int | None) -> None:
    """Let a schedule go on from now as if it had just been changed.

    `changed_at` comes after the runs that were made ahead: they are no part of what the schedule makes from now on.
    """
    tx.many(
        "UPDATE schedule_cursor SET last_tick_at = ?1, next_tick_at = ?2, since_tick_at = NULL, changed_at = MAX(?3,"
        " COALESCE((SELECT MAX(r.created_at) + 1 FROM dag_run r WHERE r.dag_pk = ?4 AND r.created_at >= ?3"
        "   AND r.run_type = 'scheduled'), 0)) WHERE dag_pk = ?4",
        [(last_tick_at, next_tick_at, tx.now, dag_pk)],
    )


def of_any(tx: ReadTx, dag_pk: int) -> Cursor | None:
    """Return where a DAG's schedule stands, paused or not."""
    rows = tx.rows("SELECT last_tick_at, next_tick_at FROM schedule_cursor WHERE dag_pk = ?", (dag_pk,))
    return as_cursor(*rows[0]) if rows else None


def may_follow(tx: Tx, dag_pk: int) -> bool:
    """Return whether no open run holds back the next one of a continuous schedule; others are never held back."""
    return bool(tx.rows(f"SELECT 1 FROM schedule_cursor c WHERE c.dag_pk = ? {_MAY_FOLLOW}", (dag_pk,)))


def as_cursor(last_tick_at: int | None, next_tick_at: int | None) -> Cursor:
    """Return the stored numbers as the decision takes them."""
    last = None if last_tick_at is None else from_micros(last_tick_at)
    if next_tick_at == UNKNOWN:
        return Cursor(last, None, is_new=True)
    return Cursor(last, None if next_tick_at is None else from_micros(next_tick_at))


def move(
    tx: Tx,
    dag_pk: int,
    last_tick_at: int | None,
    next_tick_at: int | None,
    since_tick_at: int | None = None,
) -> None:
    """Move a cursor forward; `since_tick_at` counts when it is the first tick under this schedule."""
    tx.many(
        "UPDATE schedule_cursor SET last_tick_at = ?, next_tick_at = ?,"
        " since_tick_at = COALESCE(since_tick_at, ?) WHERE dag_pk = ?",
        [(last_tick_at, next_tick_at, since_tick_at, dag_pk)],
    )
