"""Limits: pools and other budgets as rows; what is used of them is always counted from states."""

from orch.domain.limits import Candidate, LimitKey
from orch.store.engine import Tx

DEFAULT_POOL = "default"


def sizes(tx: Tx) -> dict[LimitKey, int]:
    """Return the size of every limit; on SQLite the write transaction is the lock that makes a count safe."""
    return {(kind, name): size for kind, name, size in tx.rows("SELECT kind, name, size FROM limit_row")}


def used(tx: Tx) -> dict[LimitKey, int]:
    """Count what queued and running task instances take of each limit (served by ix_task_instance_occupying)."""
    rows = tx.rows(
        """
        SELECT t.pool, d.dag_id, t.executor, SUM(t.slots), COUNT(*) FROM task_instance t
        JOIN dag d ON d.id = t.dag_pk WHERE t.state IN ('queued', 'running') GROUP BY t.pool, t.dag_pk, t.executor
        """
    )
    totals: dict[LimitKey, int] = {}
    for pool, dag_id, executor, slots, count in rows:
        for key, amount in (
            (("pool", pool), slots),
            (("dag_tasks", dag_id), count),
            (("executor", executor), count),
        ):
            totals[key] = totals.get(key, 0) + amount
    return totals


def waiting_groups(tx: Tx, dag_pk: int | None = None) -> list[tuple[int, str, str, str]]:
    """Return (dag_pk, dag_id, pool, executor) of each group that has scheduled task instances."""
    return [
        (dag_pk, dag_id, pool, executor)
        for dag_pk, dag_id, pool, executor in tx.rows(
            """
            SELECT g.dag_pk, d.dag_id, g.pool, g.executor FROM (
              SELECT DISTINCT dag_pk, pool, executor FROM task_instance
              WHERE state = 'scheduled' AND dag_pk = COALESCE(?, dag_pk)) g
            JOIN dag d ON d.id = g.dag_pk WHERE NOT d.is_paused ORDER BY d.dag_id, g.pool, g.executor
            """,
            (dag_pk,),
        )
    ]


def candidates(tx: Tx, group: tuple[int, str, str, str], most: int, pool_size: int) -> list[Candidate]:
    """Return the first `most` scheduled task instances of a group, highest priority first, then oldest.

    What needs more slots than its whole pool has is left out: it would hold back everybody behind it for ever.
    """
    dag_pk, dag_id, pool, executor = group
    rows = tx.rows(
        """
        SELECT id, slots, priority FROM task_instance
        WHERE state = 'scheduled' AND dag_pk = ? AND pool = ? AND executor = ? AND (slots <= ? OR ? < 0)
        ORDER BY priority DESC, id LIMIT ?
        """,
        (dag_pk, pool, executor, pool_size, pool_size, most),
    )
    return [Candidate(ti_id, dag_id, pool, slots, executor, priority) for ti_id, slots, priority in rows]


def mark_saturated(tx: Tx, saturated: set[LimitKey], looked_at: set[LimitKey] | None = None) -> None:
    """Store since when somebody waits for a limit; one that nobody waits for is cleared.

    `looked_at` names the limits that the caller can judge; None means all.
    """
    known = {
        (kind, name): since
        for kind, name, since in tx.rows("SELECT kind, name, saturated_since FROM limit_row")
        if looked_at is None or (kind, name) in looked_at
    }
    changes = [
        (None if since else tx.now, kind, name)
        for (kind, name), since in known.items()
        if (since is None) == ((kind, name) in saturated)
    ]
    if changes:
        tx.many("UPDATE limit_row SET saturated_since = ? WHERE kind = ? AND name = ?", changes)


def set_size(tx: Tx, kind: str, name: str, size: int) -> None:
    """Create a limit or change its size, with a history row saying from which task move on it is in force."""
    if tx.rows("SELECT 1 FROM limit_row WHERE kind = ? AND name = ? AND size = ?", (kind, name, size)):
        return
    tx.many(
        "INSERT INTO limit_row (kind, name, size) VALUES (?, ?, ?)"
        " ON CONFLICT (kind, name) DO UPDATE SET size = excluded.size",
        [(kind, name, size)],
    )
    _note(tx, kind, name, size)


def _note(tx: Tx, kind: str, name: str, size: int) -> None:
    tx.many(
        "INSERT INTO limit_history (kind, name, size, after_ti_seq, at)"
        " SELECT ?, ?, ?, COALESCE(MAX(seq), 0), ? FROM ti_history",
        [(kind, name, size, tx.now)],
    )


def describe(tx: Tx, kind: str, name: str, description: str) -> None:
    """Store what a limit is for."""
    tx.many("UPDATE limit_row SET description = ? WHERE kind = ? AND name = ?", [(description, kind, name)])


def delete(tx: Tx, kind: str, name: str) -> None:
    """Delete a limit; its history ends with the size 0."""
    tx.many("DELETE FROM limit_row WHERE kind = ? AND name = ?", [(kind, name)])
    _note(tx, kind, name, 0)
