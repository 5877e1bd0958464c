"""Rescue: components that are dead, or whose lease is over, lose what they held."""

import logging
import socket
from pathlib import Path

from orch.clock import monotonic
from orch.processes import LockFile, boot_id
from orch.scheduler.context import SchedulerContext
from orch.store.queries import processes
from orch.store.queries.processes import ProcessRow
from orch.store.rescue import rescue_process

log = logging.getLogger("orch.scheduler")


class Rescuer:
    """Looks after the other components; never needs a clock to be safe, only to know when to look."""

    def __init__(self, context: SchedulerContext) -> None:
        self._context = context
        self._host = socket.gethostname()
        self._boot = boot_id()
        lease = context.settings.scheduler.lease_seconds
        self._brake = Brake(lease)
        self.look_seconds = min(1.0, lease / 6)
        """Longest time between two looks: a lock must tell of a death soon, and the brake must not feel blind."""

    def run_once(self) -> int:
        """Take back what dead components held; return how many of them were declared dead.

        On this host a free lock file proves death at once; elsewhere only a lease that is over does.
        """
        with self._context.store.read() as tx:
            rows, now = processes.living(tx), tx.now
        leases_count = self._brake.released(now)
        dead = [row for row in rows if self._is_dead(row, now, leases_count=leases_count)]
        for row in dead:
            self._clean_up(row)
            with self._context.store.write("rescue") as tx:
                taken = rescue_process(
                    tx,
                    row.incarnation,
                    self._context.incarnation,
                    self._context.settings.scheduler.infra_loss_limit,
                )
            log.warning(
                "%s is gone; %d of its attempts are sent again or failed", row.incarnation, len(taken)
            )
        return len(dead)

    def _clean_up(self, row: ProcessRow) -> None:
        """Remove the files that a dead component of this host has left; their names are never used again."""
        if row.host != self._host or row.lock_path is None or not LockFile.is_free(Path(row.lock_path)):
            return  # elsewhere, or alive: it learns from its heartbeat that it was given up
        for path in (row.lock_path, row.address):
            if path is not None:
                Path(path).unlink(missing_ok=True)

    def _is_dead(self, row: ProcessRow, now: int, *, leases_count: bool) -> bool:
        if row.incarnation == self._context.incarnation:
            return False
        if row.host == self._host:
            if row.boot_id != self._boot:
                return True
            if row.lock_path is not None and LockFile.is_free(Path(row.lock_path)):
                return True
        return leases_count and row.lease_until < now


class Brake:
    """Holds verdicts by lease back for one full lease after this process was blind or a clock jumped.

    It was blind when it did not reach the database for a third of a lease; a clock jumped when the database's
    clock and this host's boot clock moved apart by as much. Without it, an outage would look like the death of
    every worker.
    """

    def __init__(self, lease_seconds: float) -> None:
        self._lease = lease_seconds
        self._seen_at: float | None = None
        self._offset = 0.0
        self._hold_until = monotonic() + lease_seconds

    def released(self, database_now: int) -> bool:
        """Note one successful look at the database; return whether verdicts by lease may be given."""
        now = monotonic()
        offset = database_now / 1_000_000 - now
        if self._seen_at is not None:
            blind = now - self._seen_at > self._lease / 3
            jumped = abs(offset - self._offset) > self._lease / 3
            if blind or jumped:
                self._hold_until = now + self._lease
        self._seen_at, self._offset = now, offset
        return now >= self._hold_until
