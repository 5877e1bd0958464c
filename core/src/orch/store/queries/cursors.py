"""Schedule cursors: per DAG the newest tick that was dealt with and the next one to come."""

from dataclasses import dataclass

from orch.clock import from_micros
from orch.domain.ticks import Cursor
from orch.store.engine import Tx

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


def due(tx: Tx, most_queued: int) -> list[int]:
    """Return the DAGs whose next tick has come, earliest first.

    Paused and missing ones are left out, those whose file cannot be imported now (their tasks would all fail),
    and those with `most_queued` scheduled runs that have not begun.
    """
    rows = tx.rows(
        f"SELECT c.dag_pk FROM schedule_cursor c {_LIVE} AND c.next_tick_at <= ?"
        " AND (SELECT COUNT(*) FROM dag_run r WHERE r.dag_pk = c.dag_pk AND r.state = 'queued'"
        "      AND r.run_type = 'scheduled') < ?"
        " AND d.file NOT IN (SELECT path FROM import_error) ORDER BY c.next_tick_at",
        (tx.now, most_queued),
    )
    return [dag_pk for (dag_pk,) in rows]


def next_at(tx: Tx) -> int | None:
    """Return when the next tick of any DAG comes that has not come yet."""
    rows = tx.rows(
        f"SELECT MIN(c.next_tick_at) FROM schedule_cursor c {_LIVE} AND c.next_tick_at > ?", (tx.now,)
    )
    moment: int | None = rows[0][0]
    return moment


def get(tx: Tx, dag_pk: int) -> CursorRow | None:
    """Return the cursor of a DAG that is neither paused nor missing."""
    rows = tx.rows(
        f"SELECT c.dag_pk, d.dag_id, c.last_tick_at, c.next_tick_at FROM schedule_cursor c {_LIVE}"
        " AND c.dag_pk = ?",
        (dag_pk,),
    )
    return CursorRow(*rows[0]) if rows else None


def of_any(tx: Tx, dag_pk: int) -> Cursor | None:
    """Return where a DAG's schedule stands, paused or not."""
    rows = tx.rows("SELECT last_tick_at, next_tick_at FROM schedule_cursor WHERE dag_pk = ?", (dag_pk,))
    return as_cursor(*rows[0]) if rows else None


def as_cursor(last_tick_at: int | None, next_tick_at: int | None) -> Cursor:
    """Return the stored numbers as the decision takes them."""
    last = None if last_tick_at is None else from_micros(last_tick_at)
    if next_tick_at == UNKNOWN:
        return Cursor(last, None, is_new=True)
    return Cursor(last, None if next_tick_at is None else from_micros(next_tick_at))


def move(tx: Tx, dag_pk: int, last_tick_at: int | None, next_tick_at: int | None) -> None:
    """Move a cursor forward."""
    tx.many(
        "UPDATE schedule_cursor SET last_tick_at = ?, next_tick_at = ? WHERE dag_pk = ?",
        [(last_tick_at, next_tick_at, dag_pk)],
    )
