"""Limits: pools and other budgets as rows; what is used of them is always counted from states."""

from collections.abc import Mapping

from orch.domain.admission import Admission, Turn
from orch.domain.limits import UNLIMITED, size_key
from orch.store.engine import Tx
from orch.store.queries.limit_sizes import ageing_seconds
from orch.store.reader import ReadTx

DEFAULT_POOL = "default"

SaturationChange = tuple[int | None, str, str]
"""Since when somebody waits for a limit, None for nobody; its kind and name."""


def saturation_changes(tx: ReadTx, admission: Admission) -> list[SaturationChange]:
    """Return for which limits somebody begins to wait, with since when, and for which nobody waits any more.

    Only what the admission has judged is cleared: nothing after a full batch, and within the scope of one DAG
    only the limits of that one.
    """
    known = {
        (kind, name)
        for kind, name in tx.rows("SELECT kind, name FROM limit_row WHERE saturated_since IS NOT NULL")
    }
    wanted = {size_key(key) for key in admission.saturated}
    over = known - wanted if admission.is_complete else set()
    if admission.looked_at is not None:
        over &= {size_key(key) for key in admission.looked_at}
    return [(tx.now, *key) for key in sorted(wanted - known)] + [(None, *key) for key in sorted(over)]


def mark_saturated(tx: Tx, changes: list[SaturationChange]) -> None:
    """Store since when somebody waits for a limit, or that nobody does."""
    if changes:
        tx.many("UPDATE limit_row SET saturated_since = ? WHERE kind = ? AND name = ?", changes)


def note_turns(tx: Tx, served_at: Mapping[Turn, int]) -> None:
    """Store when DAGs got their last slots of pools."""
    tx.many(
        "INSERT INTO turn (pool, dag_pk, served_at) SELECT ?, id, ? FROM dag WHERE dag_id = ?"
        " ON CONFLICT (pool, dag_pk) DO UPDATE SET served_at = excluded.served_at",
        [(pool, at, dag_id) for (pool, dag_id), at in served_at.items()],
    )


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
    """Delete a pool, so that tasks which name it have no slots; its history ends with the size 0."""
    _delete(tx, kind, name, 0)


def lift(tx: Tx, kind: str, name: str) -> None:
    """Delete a limit if it is there, so that there is none any more; its history ends without limit."""
    if tx.rows("SELECT 1 FROM limit_row WHERE kind = ? AND name = ?", (kind, name)):
        _delete(tx, kind, name, UNLIMITED)


def _delete(tx: Tx, kind: str, name: str, last_size: int) -> None:
    tx.many("DELETE FROM limit_row WHERE kind = ? AND name = ?", [(kind, name)])
    _note(tx, kind, name, last_size)


def set_ageing(tx: Tx, seconds: float) -> None:
    """Store how long a waiting task counts for one doubling of its weight; all processes go by that."""
    if ageing_seconds(tx) != seconds:
        tx.many(
            "INSERT INTO meta (key, value) VALUES ('ageing_seconds', ?)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [(repr(seconds),)],
        )
