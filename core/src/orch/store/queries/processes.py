"""Processes: one row per incarnation of a component, with its lease and where to wake it."""

from dataclasses import dataclass

from orch.store.engine import Tx


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """What a component says of itself when it starts."""

    incarnation: str
    role: str
    host: str
    boot_id: str
    pid: int
    lock_path: str | None
    address: str | None
    capacity: int
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A component that has not ended as far as the store knows."""

    incarnation: str
    role: str
    host: str
    boot_id: str
    pid: int
    lock_path: str | None
    address: str | None
    capacity: int
    started_at: int
    heartbeat_at: int
    lease_until: int


_COLUMNS = "incarnation, role, host, boot_id, pid, lock_path, address, capacity, started_at, heartbeat_at, lease_until"


def register(tx: Tx, info: ProcessInfo) -> None:
    """Insert the row of a component that starts."""
    lease_until = tx.now + int(info.lease_seconds * 1_000_000)
    tx.many(
        f"INSERT INTO process ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (info.incarnation, info.role, info.host, info.boot_id, info.pid, info.lock_path, info.address,
             info.capacity, tx.now, tx.now, lease_until)
        ],
    )  # fmt: skip


def renew(tx: Tx, incarnation: str, lease_seconds: float) -> bool:
    """Renew a lease; return False when this incarnation has been declared dead."""
    until = tx.now + int(lease_seconds * 1_000_000)
    return (
        tx.many(
            "UPDATE process SET heartbeat_at = ?, lease_until = ? WHERE incarnation = ? AND ended_at IS NULL",
            [(tx.now, until, incarnation)],
        )
        == 1
    )


def end(tx: Tx, incarnation: str) -> bool:
    """Mark a component as ended; return False when it was already."""
    return (
        tx.many(
            "UPDATE process SET ended_at = ? WHERE incarnation = ? AND ended_at IS NULL",
            [(tx.now, incarnation)],
        )
        == 1
    )


def living(tx: Tx, role: str | None = None) -> list[ProcessRow]:
    """Return the components that have not ended, oldest first; some of them may be dead without having said so."""
    rows = tx.rows(
        f"SELECT {_COLUMNS} FROM process WHERE ended_at IS NULL AND role = COALESCE(?, role)"
        " ORDER BY started_at, incarnation",
        (role,),
    )
    return [ProcessRow(*row) for row in rows]


def addresses(tx: Tx, role: str) -> list[str]:
    """Return where the components of a role listen for wake-up hints."""
    return [row.address for row in living(tx, role) if row.address]
