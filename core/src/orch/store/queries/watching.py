"""Short reads for live views: what is going on now, and what happened since the last look."""

from dataclasses import dataclass
from datetime import datetime

from orch.clock import from_micros
from orch.domain.states import TERMINAL
from orch.store.queries.reading import moment
from orch.store.reader import ReadTx, marks


@dataclass(frozen=True, slots=True)
class RunProgress:
    """A run with the numbers of its task instances by state."""

    run_pk: int
    dag_id: str
    run_id: str
    state: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    counts: dict[str, int]

    @property
    def total(self) -> int:
        """Return the number of its task instances."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """Return how many of them have ended."""
        return sum(number for state, number in self.counts.items() if state in TERMINAL)


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A run that has moved."""

    seq: int
    dag_id: str
    run_id: str
    new: str
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class ProcessSign:
    """What tells whether a component that has not said goodbye is alive."""

    role: str
    pid: int
    host: str
    boot_id: str
    lock_path: str | None
    lease_until: int


def signs_of_life(tx: ReadTx) -> list[ProcessSign]:
    """Return the components that have not ended as far as the database knows."""
    rows = tx.rows(
        "SELECT role, pid, host, boot_id, lock_path, lease_until FROM process WHERE ended_at IS NULL"
        " ORDER BY incarnation"
    )
    return [ProcessSign(*row) for row in rows]


def open_runs(tx: ReadTx, limit: int) -> list[RunProgress]:
    """Return the oldest runs that have not ended, with their counts."""
    return _progress(tx, f"WHERE {_OPEN} ORDER BY id LIMIT ?", limit)


def ended_runs(tx: ReadTx, limit: int) -> list[RunProgress]:
    """Return the runs that ended last among the newest ones, with their counts."""
    newest = f"(SELECT id FROM dag_run ORDER BY id DESC LIMIT {10 * limit})"
    where = f"WHERE id IN {newest} AND ended_at IS NOT NULL"
    return _progress(tx, f"{where} ORDER BY ended_at DESC LIMIT ?", limit)


def open_run_count(tx: ReadTx) -> int:
    """Return how many runs have not ended."""
    return int(tx.rows(f"SELECT COUNT(*) FROM dag_run WHERE {_OPEN}")[0][0])


def dag_count(tx: ReadTx) -> int:
    """Return how many DAGs have their file."""
    return int(tx.rows("SELECT COUNT(*) FROM dag WHERE NOT is_missing")[0][0])


def last_run_event(tx: ReadTx) -> int:
    """Return the sequence number of the newest move of a run; 0 before the first."""
    return int(tx.rows("SELECT COALESCE(MAX(seq), 0) FROM run_history")[0][0])


def run_events(tx: ReadTx, after: int, limit: int = 1000) -> list[RunEvent]:
    """Return moves of runs with a greater sequence number, oldest first.

    For people's eyes only: where several writers commit at once, a number may appear after a greater one.
    """
    rows = tx.rows(
        """
        SELECT h.seq, r.dag_id, r.run_id, h.new, r.started_at, r.ended_at
        FROM run_history h JOIN dag_run r ON r.id = h.run_pk WHERE h.seq > ? ORDER BY h.seq LIMIT ?
        """,
        (after, limit),
    )
    return [
        RunEvent(seq, dag_id, run_id, new, moment(started), moment(ended))
        for seq, dag_id, run_id, new, started, ended in rows
    ]


_OPEN = "state IN ('queued', 'running')"
"""Served by ix_dag_run_open."""


def _progress(tx: ReadTx, clauses: str, limit: int) -> list[RunProgress]:
    runs = tx.rows(
        f"SELECT id, dag_id, run_id, state, created_at, started_at, ended_at FROM dag_run {clauses}", (limit,)
    )
    counts = _counts(tx, tuple(run[0] for run in runs))
    return [
        RunProgress(
            run_pk=run_pk,
            dag_id=dag_id,
            run_id=run_id,
            state=state,
            created_at=from_micros(created),
            started_at=moment(started),
            ended_at=moment(ended),
            counts=counts.get(run_pk, {}),
        )
        for run_pk, dag_id, run_id, state, created, started, ended in runs
    ]


def _counts(tx: ReadTx, run_pks: tuple[int, ...]) -> dict[int, dict[str, int]]:
    rows = tx.rows(
        f"""
        SELECT run_pk, state, COUNT(*) FROM task_instance
        WHERE run_pk IN ({marks(run_pks)}) GROUP BY run_pk, state
        """,
        run_pks,
    )
    found: dict[int, dict[str, int]] = {}
    for run_pk, state, number in rows:
        found.setdefault(run_pk, {})[state] = number
    return found
