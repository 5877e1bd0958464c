"""XComs: values handed from one task instance to another; only those of the accepted attempt are here."""

from collections.abc import Sequence

from orch.store.engine import Tx


def put(tx: Tx, rows: Sequence[tuple[int, str, int, str, str, int, int]]) -> None:
    """Store (run_pk, task_id, map_index, key, value, ti_id, epoch); a newer try replaces the older value."""
    tx.many(
        "INSERT INTO xcom (run_pk, task_id, map_index, key, value, ti_id, epoch, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_pk, task_id, map_index, key) DO UPDATE SET"
        " value = excluded.value, ti_id = excluded.ti_id, epoch = excluded.epoch, created_at = excluded.created_at",
        [(*row, tx.now) for row in rows],
    )


def get(tx: Tx, run_pk: int, task_id: str, key: str, map_index: int = -1) -> str | None:
    """Return a value as JSON text, or None when there is none."""
    rows = tx.rows(
        "SELECT value FROM xcom WHERE run_pk = ? AND task_id = ? AND map_index = ? AND key = ?",
        (run_pk, task_id, map_index, key),
    )
    return rows[0][0] if rows else None
