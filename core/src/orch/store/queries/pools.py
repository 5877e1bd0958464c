"""Pools for people: their sizes, and what is taken of them now."""

from dataclasses import dataclass
from datetime import datetime

from orch.clock import from_micros
from orch.store.reader import ReadTx


@dataclass(frozen=True, slots=True)
class PoolRow:
    """One pool. Slots are counted from the states of task instances at this moment."""

    name: str
    slots: int
    """-1 when there is no limit."""
    running: int
    queued: int
    waiting: int
    """Slots that scheduled task instances wait for."""
    saturated_since: datetime | None
    description: str

    @property
    def occupied(self) -> int:
        """Slots that are taken."""
        return self.running + self.queued

    @property
    def free(self) -> int | None:
        """Slots that are left, never less than none; None when there is no limit."""
        return None if self.slots < 0 else max(0, self.slots - self.occupied)


def list_pools(tx: ReadTx) -> list[PoolRow]:
    """Return all pools by name."""
    taken: dict[tuple[str, str], int] = {
        (pool, state): slots
        for pool, state, slots in tx.rows(
            "SELECT pool, state, SUM(slots) FROM task_instance"
            " WHERE state IN ('scheduled', 'queued', 'running') GROUP BY pool, state"
        )
    }
    return [
        PoolRow(
            name,
            size,
            running=taken.get((name, "running"), 0),
            queued=taken.get((name, "queued"), 0),
            waiting=taken.get((name, "scheduled"), 0),
            saturated_since=None if since is None else from_micros(since),
            description=description,
        )
        for name, size, since, description in tx.rows(
            "SELECT name, size, saturated_since, description FROM limit_row WHERE kind = 'pool' ORDER BY name"
        )
    ]


def find_pool(tx: ReadTx, name: str) -> PoolRow | None:
    """Return one pool, or None."""
    return next((pool for pool in list_pools(tx) if pool.name == name), None)
