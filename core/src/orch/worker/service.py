"""The worker as a component: its name, lock and registration around the loop."""

import os
import socket
from collections.abc import Sequence
from contextlib import closing

from orch.clock import monotonic
from orch.domain.sources import PinRule
from orch.failpoints import Failpoints
from orch.hints import HintSocket
from orch.ids import new_incarnation
from orch.processes import LockFile, StopSignal, boot_id
from orch.settings import Settings
from orch.store.queries.processes import ProcessInfo
from orch.worker.bundles import Bundles
from orch.worker.environment import task_environment
from orch.worker.execution_api import ExecutionApi
from orch.worker.ledger import Ledger
from orch.worker.loop import Worker
from orch.worker.options import WorkerOptions


def run_worker(
    settings: Settings,
    execution: ExecutionApi,
    executors: Sequence[str],
    parallelism: int,
    stop: StopSignal,
    *,
    scope_run_pk: int | None = None,
) -> None:
    """Run a worker of this host under a new name until `stop`; call it in a process of its own.

    It claims what the named executors have been given, of one run only with `scope_run_pk`. Raises WorkerLost
    when the store has declared it dead: start it again.
    """
    options = WorkerOptions.from_settings(settings, tuple(executors), parallelism, scope_run_pk)
    incarnation = new_incarnation("worker")
    folder = settings.core.run_folder
    ledger = Ledger(execution, incarnation, options)
    with (
        LockFile.acquire(folder / f"{incarnation}.lock") as lock,
        closing(HintSocket.bind(folder, incarnation)) as hints,
    ):
        info = ProcessInfo(
            incarnation=incarnation,
            role="worker",
            host=socket.gethostname(),
            boot_id=boot_id(),
            pid=os.getpid(),
            lock_path=str(lock.path),
            address=hints.address,
            capacity=parallelism,
            lease_seconds=options.lease_seconds,
        )
        while not ledger.register(info):
            if stop.wait(max(0.0, (ledger.retry_at or 0.0) - monotonic())):
                return
        bundles = Bundles(
            settings.core.bundles_folder,
            settings.core.dags_folder,
            PinRule(settings.dagfiles.pinned_suffixes, settings.dagfiles.pinned_max_bytes),
            execution,
            Failpoints.from_environment(),
        )
        Worker(options, ledger, bundles, hints, stop, task_environment(os.environ)).run()
