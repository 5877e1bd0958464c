"""Limit sizes: what pools, tasks and ageing are set to, for those who only read."""

from orch.domain.ageing import DEFAULT_AGEING_SECONDS
from orch.domain.limits import LimitKey
from orch.store.reader import ReadTx


def pool_exists(tx: ReadTx, name: str) -> bool:
    """Return whether there is a pool of this name."""
    return bool(tx.rows("SELECT 1 FROM limit_row WHERE kind = 'pool' AND name = ?", (name,)))


def task_limits(tx: ReadTx, dag_id: str) -> dict[LimitKey, int]:
    """Return the sizes of the limits that tasks of a DAG have of their own (served by the primary key)."""
    rows = tx.rows(
        "SELECT kind, name, size FROM limit_row WHERE kind IN ('task', 'run_task') AND name > ? AND name < ?",
        (f"{dag_id}/", f"{dag_id}0"),  # '0' is the character after '/'
    )
    return {(kind, name): size for kind, name, size in rows}


def ageing_seconds(tx: ReadTx) -> float:
    """Return the ageing in force."""
    rows = tx.rows("SELECT value FROM meta WHERE key = 'ageing_seconds'")
    return float(rows[0][0]) if rows else DEFAULT_AGEING_SECONDS
