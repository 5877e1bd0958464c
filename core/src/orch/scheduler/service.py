"""The scheduler's loop: woken by hints, timers and a polling fallback, it calls its services until nothing moves."""

import contextlib
import logging
import random
import selectors
import socket
from pathlib import Path

from orch.clock import monotonic
from orch.errors import OrchError, StoreError
from orch.failpoints import FailpointError
from orch.hints import LOOK, HintSocket, send_hint
from orch.hookspecs.executors import BaseExecutor, ExecutorContext
from orch.ids import new_incarnation
from orch.plugins.facade import Plugins
from orch.processes import LockFile, StopSignal, boot_id
from orch.scheduler.admit import admission_waits
from orch.scheduler.backfills import advance_backfills
from orch.scheduler.context import SchedulerContext
from orch.scheduler.create_runs import RunCreator
from orch.scheduler.evaluate import Evaluator
from orch.scheduler.promote import promote
from orch.scheduler.rescue import Rescuer
from orch.scheduler.send import send
from orch.settings import Settings
from orch.store.engine import Store, Tx
from orch.store.queries import cursors, limits, processes, runs
from orch.store.queries.processes import ProcessInfo

log = logging.getLogger("orch.scheduler")

RESCUE_SECONDS = 0.2
"""Shortest time between two looks at the lock files of other components."""
LONGEST_BACKOFF = 5.0


class SchedulerLost(OrchError):
    """Another scheduler took this one for dead; nothing is lost, a new one starts under a new name."""


class Scheduler:
    """One scheduler process. Any number of them may work on one database; none is a leader."""

    def __init__(
        self, settings: Settings, store: Store, plugins: Plugins, *, scope_run_pk: int | None = None
    ) -> None:
        """Make one; with `scope_run_pk` it makes no scheduled runs and works on the DAG of that run only.

        On all runs of the DAG, since an older one that nobody works on may hold what this one waits for.
        """
        self._settings = settings
        self._store = store
        self.context = SchedulerContext(store, settings, plugins, new_incarnation("scheduler"), executors={})
        self.context.hint_workers = self._hint_workers
        self._scope_run_pk = scope_run_pk
        self._creator = RunCreator(self.context)
        self._evaluator = Evaluator(self.context)
        self._rescuer = Rescuer(self.context)
        self._worker_addresses: list[str] = []
        self._next_heartbeat = 0.0
        self._next_rescue = 0.0
        self._registered = False

    def run(self, stop: StopSignal) -> None:
        """Schedule until `stop` is set. Trouble with the database is waited out; nothing is cleaned up at start."""
        run_folder = self._settings.core.run_folder
        run_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.ExitStack() as stack:
            lock = stack.enter_context(LockFile.acquire(run_folder / f"{self.context.incarnation}.lock"))
            hints = stack.enter_context(
                contextlib.closing(HintSocket.bind(run_folder, self.context.incarnation))
            )
            selector = stack.enter_context(selectors.DefaultSelector())
            selector.register(hints, selectors.EVENT_READ)
            selector.register(stop, selectors.EVENT_READ)
            self._start_executors()
            stack.callback(self._stop_executors)
            self._loop(stop, selector, hints, lock.path)
            self._release()

    def run_once(self) -> int:
        """Call every service once, as the loop does; return how much was done."""
        if self._scope_run_pk is not None and self.context.scope is None:
            with self._store.read() as tx:
                self.context.scope = runs.dag_of_run(tx, self._scope_run_pk)
        done = self._creator.run_once()
        done += advance_backfills(self.context)
        done += promote(self.context)
        done += self._evaluate()
        return done + send(self.context)

    def _loop(
        self, stop: StopSignal, selector: selectors.BaseSelector, hints: HintSocket, lock: Path
    ) -> None:
        trouble = 0
        timeout = 0.0
        while not stop.is_set:
            selector.select(timeout)
            hints.drain()
            try:
                self._live(hints.address, lock)
                busy = self.run_once()
                timeout = 0.0 if busy else self._pause()
                trouble = 0
            except (StoreError, FailpointError) as error:
                trouble += 1
                timeout = min(LONGEST_BACKOFF, 0.05 * 2**trouble) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
                log.warning("%s; trying again in %.1f s", error, timeout)

    def _evaluate(self) -> int:
        """Evaluate when a run is due or somebody can be admitted; the look before spares the write lock."""
        with self._store.read() as tx:
            if not runs.work_waits(tx, self.context.scope):
                mark = tx.mark()
                if mark == self._evaluator.settled:  # nobody can be admitted who could not at the last look
                    return 0
                if not admission_waits(self.context, tx):
                    self._evaluator.settled = mark
                    return 0
        return self._evaluator.run_once()

    def _live(self, address: str, lock: Path) -> None:
        """Register, renew the lease and rescue others, each when its time has come."""
        now = monotonic()
        if not self._registered:
            self._register(address, lock)
            self._next_heartbeat = now + self._settings.scheduler.heartbeat_seconds
        elif now >= self._next_heartbeat:
            self._next_heartbeat = now + self._settings.scheduler.heartbeat_seconds
            with self._store.write("heartbeat") as tx:
                renewed = processes.renew(
                    tx, self.context.incarnation, self._settings.scheduler.lease_seconds
                )
            if not renewed:
                raise SchedulerLost
            self._find_workers()
            self._start_executors()
        if now >= self._next_rescue:
            self._next_rescue = now + RESCUE_SECONDS
            self._rescuer.run_once()

    def _register(self, address: str, lock: Path) -> None:
        info = ProcessInfo(
            incarnation=self.context.incarnation,
            role="scheduler",
            host=socket.gethostname(),
            boot_id=boot_id(),
            pid=int(self.context.incarnation.split("-")[1]),
            lock_path=str(lock),
            address=address,
            capacity=0,
            lease_seconds=self._settings.scheduler.lease_seconds,
        )
        with self._store.write("register_process") as tx:
            processes.register(tx, info)
            self._set_limits(tx)
        self._registered = True
        self._find_workers()

    def _set_limits(self, tx: Tx) -> None:
        """Store what the settings say about admission: how executors are limited, and what waiting is worth."""
        limits.set_ageing(tx, self._settings.scheduler.ageing_seconds)
        for spec in self.context.plugins.executors.values():
            own = None if spec.parallelism is None else spec.parallelism(self._settings.worker.parallelism)
            sizes = [size for size in (self._settings.core.executor_parallelism, own) if size]
            if sizes:
                limits.set_size(tx, "executor", spec.name, min(sizes))
            else:
                limits.lift(tx, "executor", spec.name)

    def _release(self) -> None:
        with contextlib.suppress(StoreError), self._store.write("release_process") as tx:
            processes.end(tx, self.context.incarnation)

    def _pause(self) -> float:
        """Return how long nothing is due, at most the polling interval."""
        with self._store.read() as tx:
            moments = [runs.next_due_at(tx), None if self._scope_run_pk else cursors.next_at(tx)]
            waits = [(moment - tx.now) / 1_000_000 for moment in moments if moment is not None]
        looks = (self._settings.scheduler.poll_seconds, self._rescuer.look_seconds)
        return max(0.0, min([*looks, self._next_heartbeat - monotonic(), *waits]))

    def _start_executors(self) -> None:
        parallelism = self._settings.worker.parallelism
        for name, spec in self.context.plugins.executors.items():
            if name in self.context.executors:
                continue
            try:
                executor: BaseExecutor = spec.factory()
                executor.start(ExecutorContext(self._hint_workers, spec.effective_parallelism(parallelism)))
            except Exception:  # foreign code: its tasks wait, all others go on
                log.exception("executor %s does not start; it is tried again with the next heartbeat", name)
            else:
                self.context.executors[name] = executor

    def _stop_executors(self) -> None:
        for executor in self.context.executors.values():
            executor.stop()

    def _find_workers(self) -> None:
        with self._store.read() as tx:
            self._worker_addresses = processes.addresses(tx, "worker")

    def _hint_workers(self, kind: bytes = LOOK) -> None:
        reached = [send_hint(address, kind) for address in self._worker_addresses]
        if not reached or not all(reached):
            self._find_workers()
            for address in self._worker_addresses:
                send_hint(address, kind)
