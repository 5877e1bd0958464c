"""The worker's loop: one thread that claims, runs, reports, and renews its lease until it is told to stop."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Protocol

from orch.clock import monotonic
from orch.errors import BadInput, OrchError, StoreError
from orch.hints import REVOKED
from orch.processes import StopSignal, become_subreaper, end_strangers, kill_strangers
from orch.store.execution import AttemptReport, Claimed
from orch.worker.attempt import Attempt
from orch.worker.bundles import BundleLost, Bundles
from orch.worker.crew import Turnover
from orch.worker.host_pool import HostPool
from orch.worker.host_process import HostKey
from orch.worker.ledger import Ledger
from orch.worker.logs import AttemptLog, attempt_log_path
from orch.worker.options import WorkerOptions
from orch.worker.reactor import Reactor
from orch.worker.schedulers import Schedulers
from orch.worker.seats import Seats

NO_ROOM_SECONDS = 1.0
"""Pause of claiming after the system had no room for a process."""
SWEEP_SECONDS = 0.05
"""Time between looks while there are leftovers of a dead host."""
REAP_SECONDS = 10.0
"""Time between looks for leftovers at other times, which the heartbeat wakes the loop for."""
LAST_SECONDS = 5.0
MOST_KEYS = 1000


class WorkerLost(OrchError):
    """The store has declared this worker dead; a new one must start under a new name."""


class HintSource(Protocol):
    """Where others wake this worker; `orch.hints.HintSocket` is one."""

    def fileno(self) -> int:
        """Return the descriptor."""
        ...

    def take(self) -> set[bytes]:
        """Take all hints that have come; return the kinds of them."""
        ...


class Worker:
    """One incarnation of the worker. It must have its process to itself: it kills children it does not know."""

    def __init__(
        self,
        options: WorkerOptions,
        ledger: Ledger,
        bundles: Bundles,
        hints: HintSource,
        stop: StopSignal,
        environ: Mapping[str, str],
    ) -> None:
        self._options = options
        self._ledger = ledger
        self._hints = hints
        self._stop = stop
        self._schedulers = Schedulers(ledger)
        self._reactor = Reactor()
        self._bundles = bundles
        self._seats = Seats(options.parallelism)
        self._hosts = HostPool(
            self._reactor,
            environ,
            bundles,
            self._seats,
            Turnover(options.tasks_per_process, options.task_process_growth_mb * 1_048_576),
            import_timeout_seconds=options.import_timeout_seconds,
        )
        self._attempts: dict[tuple[int, int], Attempt] = {}
        self._keys: dict[tuple[str, str], HostKey] = {}
        self._look = True
        """True when there may be something to claim."""
        self._heartbeat_at = self._poll_at = self._claim_at = self._sweep_at = 0.0
        self._stops_seen = 0
        self._interrupt_at: float | None = None

    def run(self) -> None:
        """Work until the stop signal; then all attempts have ended or were handed back, and no process is left.

        Raises WorkerLost when the store has declared this incarnation dead; its tasks are dead then.
        """
        become_subreaper()
        self._reactor.watch(self._hints, self._hinted)
        self._reactor.watch(self._stop, self._stop.drain)
        destroy = True
        try:
            while not self._is_done():
                self._one_round()
            self._ledger.release()
            destroy = False
        finally:
            self._hosts.close(destroy=destroy)
            self._reactor.close()
            end_strangers((), LAST_SECONDS)

    # Desk: what attempts bring

    def ask(self, attempt: Attempt, question: dict[str, Any]) -> None:
        """Answer a question of a task process in this round."""
        self._ledger.owe_answer(attempt, question)

    def report(self, report: AttemptReport) -> None:
        """Report an outcome in this round, together with the others that have come."""
        self._ledger.owe_report(report)

    def hand_back(self, attempt: Attempt) -> None:
        """Hand an attempt back in this round."""
        self._ledger.owe_return(attempt)
        self._claim_at = monotonic() + NO_ROOM_SECONDS

    def lose(self, attempt: Attempt) -> None:
        """Give an attempt back in this round that has ended with its host."""
        self._ledger.owe_loss(attempt)

    def drop(self) -> None:
        """Make room for another one."""
        self._look = True

    # One round

    def _one_round(self) -> None:
        self._hosts.hand_out()  # before the store is waited for
        now = monotonic()
        self._heartbeat(now)  # first: after a pause of the whole process it says what still counts
        self._notice_stop(now)
        if self._ledger.settle():
            self._schedulers.wake()
            self._look = True
        if not self._stop.is_set:
            self._claim(now)
        self._check(now)
        self._reactor.run_once(self._timeout())

    def _heartbeat(self, now: float) -> None:
        if now < self._heartbeat_at:
            return
        held = [attempt.key for attempt in self._unfinished() if not attempt.is_revoked]
        reply = self._ledger.heartbeat([*held, *self._ledger.unsettled_keys()])
        if reply is None:
            return
        if not reply.known:
            for lost in self._unfinished():
                lost.revoke()
            raise WorkerLost
        self._heartbeat_at = now + self._options.heartbeat_seconds
        for key in reply.revoked:
            if (attempt := self._attempts.get(key)) is not None and not attempt.has_ended:
                attempt.revoke(reply.why.get(key, ""))

    def _claim(self, now: float) -> None:
        if now >= self._poll_at:
            self._look = True
        free = self._free(now)
        if not self._look or free <= 0 or now < self._claim_at:
            return
        claimed = self._ledger.claim(free)
        if claimed is None:
            return
        self._poll_at = now + self._options.poll_seconds
        self._look = False
        for bundle in {one.bundle for one in claimed if one.bundle is not None}:
            self._bundles.refresh(bundle)
        for one in claimed:
            self._begin(one)

    def _begin(self, claimed: Claimed) -> None:
        name = _log_name(claimed)
        log = AttemptLog(self._options.logs_folder, name, self._options.log_max_bytes)
        attempt = Attempt(claimed, log, self._options, self)
        self._attempts[attempt.key] = attempt
        try:
            host = self._hosts.host_for(self._host_key(claimed))
        except BundleLost as error:
            attempt.on_import_failed(str(error), None)
        except (OSError, StoreError) as error:
            attempt.on_no_process(str(error))
        else:
            attempt.run_on(host)

    def _host_key(self, claimed: Claimed) -> HostKey:
        """Return the key of the host for an attempt; the same object for many, since paths are slow to build."""
        revision = claimed.bundle or claimed.source_rev
        if (key := self._keys.get((claimed.dag_file, revision))) is None:
            folder = self._options.dags_folder
            layout = None if claimed.bundle is None else self._bundles.path_of(claimed.bundle)
            key = HostKey(folder / claimed.dag_file, folder, revision, layout)
            if len(self._keys) >= MOST_KEYS:
                self._keys.clear()
            self._keys[claimed.dag_file, revision] = key
        return key

    def _check(self, now: float) -> None:
        self._hosts.check(now)
        for key, attempt in list(self._attempts.items()):
            attempt.check(now)
            if attempt.has_ended and attempt.process is None:
                del self._attempts[key]
        if self._hosts.lost or now >= self._sweep_at:
            self._sweep_at = now + REAP_SECONDS  # what could not be killed is a zombie once it has ended
            self._hosts.lost = bool(kill_strangers(self._hosts.pids()))

    def _timeout(self) -> float:
        now = monotonic()
        moments = [self._store_at(now), self._hosts.next_check(), self._interrupt_at]
        moments += [attempt.next_check() for attempt in self._attempts.values()]
        if self._hosts.lost:
            moments.append(now + SWEEP_SECONDS)
        return max(0.0, min(moment for moment in moments if moment is not None) - now)

    def _store_at(self, now: float) -> float:
        """Return when the store is needed next, and may be used."""
        at = min(self._heartbeat_at, self._ledger.settle_at(now))
        if not self._stop.is_set and self._free(now) > 0:
            at = min(at, max(self._claim_at, now if self._look else self._poll_at))
        return max(at, self._ledger.retry_at or at)

    def _free(self, now: float) -> int:
        """Return how many attempts may be claimed: those that can begin now, and some ahead while tasks are short.

        What is ahead is refilled when half of it has begun, so that claims are few and large.
        """
        seats, running = self._options.parallelism, self._running()
        ahead = self._seats.pace.ahead * (seats - self._hosts.long_running(now))
        free = seats + ahead - running
        return free if free * 2 >= ahead or running < seats else 0

    def _running(self) -> int:
        return sum(not attempt.has_ended for attempt in self._attempts.values())

    def _hinted(self) -> None:
        self._look = True
        if REVOKED in self._hints.take():
            self._heartbeat_at = 0.0

    # The end

    def _notice_stop(self, now: float) -> None:
        seen, self._stops_seen = self._stops_seen, self._stop.count
        if self._stops_seen > seen == 0:
            self._interrupt_at = now + self._options.drain_seconds
            for attempt in self._unfinished():
                attempt.withdraw()
        again = self._stops_seen > max(seen, 1)
        if again or (self._interrupt_at is not None and now >= self._interrupt_at):
            self._interrupt_at = None
            for attempt in self._unfinished():
                attempt.interrupt()

    def _unfinished(self) -> list[Attempt]:
        return [attempt for attempt in self._attempts.values() if not attempt.has_ended]

    def _is_done(self) -> bool:
        """Everything is handed over; or it is not, but the store is out of reach and patience was asked to end."""
        if not self._stop.is_set or self._running():
            return False
        return self._ledger.is_settled or (self._stop.count > 1 and self._ledger.is_failing)


def _log_name(claimed: Claimed) -> PurePath:
    one = claimed
    try:
        return attempt_log_path(one.dag_id, one.run_id, one.task_id, one.map_index, one.try_number, one.epoch)
    except BadInput:  # whoever stored such an id: it must not become a path, nor end the worker
        return PurePath("_unnamed", f"task-instance-{one.ti_id}.epoch-{one.epoch}.jsonl")
