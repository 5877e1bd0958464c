"""Attempts: one row per granted right to run that a worker has claimed, and the dispatch rows before it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from orch.store.engine import Tx


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """A claimed attempt as the store knows it."""

    ti_id: int
    epoch: int
    try_number: int
    nonce_hash: str
    holder: str
    outcome: str | None


_COLUMNS = "ti_id, epoch, try_number, nonce_hash, holder, outcome"


def hash_nonce(nonce: str) -> str:
    """Return what is stored of a nonce."""
    return hashlib.sha256(nonce.encode()).hexdigest()


def dispatched(
    tx: Tx, executors: Sequence[str], most: int, run_pk: int | None = None
) -> list[tuple[int, int]]:
    """Return (ti_id, epoch) of the dispatch rows to claim next: in the order of admission, less their head starts.

    So a higher priority goes first here too, and nobody who has a slot waits for ever. With `run_pk` only those of
    the DAG of that run.
    """
    marks = ",".join("?" * len(executors))
    scope = "" if run_pk is None else f"AND {_SAME_DAG}"
    rows = tx.rows(
        f"SELECT ti_id, epoch FROM dispatch WHERE executor IN ({marks}) {scope}"
        " ORDER BY created_at - head_start, ti_id LIMIT ?",
        (*executors, *([] if run_pk is None else [run_pk]), most),
    )
    return [(ti_id, epoch) for ti_id, epoch in rows]


_SAME_DAG = (
    "run_pk IN (SELECT o.id FROM dag_run o JOIN dag_run r ON r.dag_pk = o.dag_pk"
    " WHERE r.id = ? AND o.state = 'running')"
)


@dataclass(frozen=True, slots=True)
class NewDispatch:
    """An outbox row to be made."""

    ti_id: int
    epoch: int
    run_pk: int
    executor: str
    queue: str
    priority: int
    head_start: int


def dispatch(tx: Tx, rows: Sequence[NewDispatch]) -> None:
    """Insert the outbox rows of task instances in the order of their admission, each a microsecond later."""
    tx.many(
        "INSERT INTO dispatch (ti_id, epoch, run_pk, executor, queue, priority, head_start, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (ti_id, epoch) DO UPDATE SET sent_at = NULL",
        [
            (
                row.ti_id,
                row.epoch,
                row.run_pk,
                row.executor,
                row.queue,
                row.priority,
                row.head_start,
                tx.now + n,
            )
            for n, row in enumerate(rows)
        ],
    )


@dataclass(frozen=True, slots=True)
class DispatchRow:
    """A queued attempt in the outbox."""

    ti_id: int
    epoch: int
    executor: str
    queue: str


def unsent(tx: Tx, most: int, dag_pk: int | None = None) -> list[DispatchRow]:
    """Return outbox rows that no executor has taken yet, oldest first; with `dag_pk` only those of that DAG."""
    rows = tx.rows(
        "SELECT d.ti_id, d.epoch, d.executor, d.queue FROM dispatch d JOIN dag_run r ON r.id = d.run_pk"
        " WHERE d.sent_at IS NULL AND r.dag_pk = COALESCE(?, r.dag_pk) ORDER BY d.created_at LIMIT ?",
        (dag_pk, most),
    )
    return [DispatchRow(*row) for row in rows]


def mark_sent(tx: Tx, keys: Sequence[tuple[int, int]]) -> None:
    """Note that an executor has taken these."""
    tx.many("UPDATE dispatch SET sent_at = ? WHERE ti_id = ? AND epoch = ?", [(tx.now, *key) for key in keys])


def undispatch(tx: Tx, keys: Sequence[tuple[int, int]]) -> None:
    """Delete dispatch rows."""
    tx.many("DELETE FROM dispatch WHERE ti_id = ? AND epoch = ?", list(keys))


def start(tx: Tx, rows: Sequence[tuple[int, int, int, str, str]]) -> None:
    """Insert the attempts (ti_id, epoch, try_number, nonce, holder) of a claim."""
    tx.many(
        "INSERT INTO attempt (ti_id, epoch, try_number, nonce_hash, holder, claimed_at) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (ti_id, epoch, try_number, hash_nonce(nonce), holder, tx.now)
            for ti_id, epoch, try_number, nonce, holder in rows
        ],
    )


def find(tx: Tx, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], AttemptRow]:
    """Return the attempts with these (ti_id, epoch)."""
    found = {}
    for key in keys:
        for row in tx.rows(f"SELECT {_COLUMNS} FROM attempt WHERE ti_id = ? AND epoch = ?", key):
            found[key] = AttemptRow(*row)
    return found


def by_nonce(tx: Tx, nonces: Sequence[str]) -> dict[int, str]:
    """Return ti_id -> nonce of the open attempts that were claimed with these nonces."""
    found = {}
    for nonce in nonces:
        for (ti_id,) in tx.rows(
            "SELECT ti_id FROM attempt WHERE nonce_hash = ? AND outcome IS NULL", (hash_nonce(nonce),)
        ):
            found[ti_id] = nonce
    return found


def errors_of(tx: Tx, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """Return the line for people of those of these attempts that ended with one."""
    found = {}
    for key in keys:
        for (error,) in tx.rows("SELECT error FROM attempt WHERE ti_id = ? AND epoch = ?", key):
            if error is not None:
                found[key] = error
    return found


def open_of(tx: Tx, holder: str) -> list[AttemptRow]:
    """Return the attempts that a worker holds."""
    rows = tx.rows(f"SELECT {_COLUMNS} FROM attempt WHERE holder = ? AND outcome IS NULL", (holder,))
    return [AttemptRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """How an attempt ended; times in microseconds."""

    ti_id: int
    epoch: int
    outcome: str
    started_at: int | None = None
    ended_at: int | None = None
    error: str | None = None
    exit: str | None = None
    log_path: str | None = None


def end(tx: Tx, ends: Sequence[AttemptEnd]) -> None:
    """Write the outcome of attempts that are still open."""
    tx.many(
        "UPDATE attempt SET outcome = ?, started_at = ?, ended_at = ?, error = ?, exit = ?,"
        " log_path = COALESCE(?, log_path) WHERE ti_id = ? AND epoch = ? AND outcome IS NULL",
        [
            (e.outcome, e.started_at, e.ended_at or tx.now, e.error, e.exit, e.log_path, e.ti_id, e.epoch)
            for e in ends
        ],
    )
