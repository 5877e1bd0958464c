"""XComs: values handed from one task instance to another; only those of the accepted attempt are here."""

from collections.abc import Sequence
from typing import Any

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


def of_tasks(
    tx: Tx, run_pk: int, wanted: Sequence[tuple[str, str]], most_bytes: int
) -> tuple[dict[tuple[str, str], str], bool]:
    """Return the unmapped values that these (task_id, key) name, and whether they were left out for their size.

    The sizes are looked at first, so that values which are too large together are never read together.
    """
    keys = set(wanted)
    sizes = {
        (task_id, key): size
        for task_id, key, size in _of_tasks(tx, run_pk, wanted, "LENGTH(CAST(value AS BLOB))")
        if (task_id, key) in keys
    }
    if sum(sizes.values()) > most_bytes:
        return {}, True
    rows = _of_tasks(tx, run_pk, wanted, "value")
    return {(task_id, key): value for task_id, key, value in rows if (task_id, key) in keys}, False


def _of_tasks(tx: Tx, run_pk: int, wanted: Sequence[tuple[str, str]], column: str) -> list[tuple[Any, ...]]:
    tasks = list(dict.fromkeys(task_id for task_id, _ in wanted))
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(tasks), 500):
        part = tasks[start : start + 500]
        marks = ",".join("?" * len(part))
        found += tx.rows(
            f"SELECT task_id, key, {column} FROM xcom WHERE run_pk = ? AND map_index = -1 AND task_id IN ({marks})",
            (run_pk, *part),
        )
    return found
