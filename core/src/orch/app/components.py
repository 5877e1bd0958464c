"""The components: what `orch up` and `orch run` start as processes of their own."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from orch.app.home import component_log
from orch.app.services import new_store
from orch.dagfiles.processor import DagProcessor
from orch.plugins import Plugins, load_plugins
from orch.processes import Component, StopSignal
from orch.scheduler.service import Scheduler
from orch.settings import Settings
from orch.store.engine import Store
from orch.store.execution import Execution
from orch.worker.service import run_worker


def checked_plugins(settings: Settings) -> Plugins:
    """Load the plugins; PluginError when a required one is broken or the default executor is unknown."""
    plugins = load_plugins(settings)
    plugins.executor(settings.core.executor)
    return plugins


def engine(settings: Settings, plugins: Plugins, scope_run_pk: int | None = None) -> list[Component]:
    """Return what runs tasks: a scheduler and the local worker, for all runs or for one only."""

    def scheduler(stop: StopSignal) -> None:
        with _process_store(settings) as store:
            Scheduler(settings, store, plugins, scope_run_pk=scope_run_pk).run(stop)

    def worker(stop: StopSignal) -> None:
        executors, parallelism = _local_executors(settings, plugins)
        with _process_store(settings) as store:
            execution = Execution(store, infra_loss_limit=settings.scheduler.infra_loss_limit)
            run_worker(settings, execution, executors, parallelism, stop, scope_run_pk=scope_run_pk)

    return [_component(settings, "scheduler", scheduler), _component(settings, "worker", worker)]


def dag_processor(settings: Settings, plugins: Plugins) -> Component:
    """Return what keeps the registered DAGs equal to the files."""

    def run(stop: StopSignal) -> None:
        with _process_store(settings) as store, closing(DagProcessor(settings, store, plugins)) as processor:
            processor.run(stop)

    return _component(settings, "dag-processor", run)


def grace_seconds(settings: Settings) -> float:
    """Return how long components get to end before they are killed."""
    return settings.worker.drain_seconds + settings.worker.kill_grace_seconds + 5.0


def _component(settings: Settings, role: str, run: Callable[[StopSignal], None]) -> Component:
    return Component(role, run, log_path=component_log(settings, role))


@contextmanager
def _process_store(settings: Settings) -> Iterator[Store]:
    """The store of a component, whose log lines go to its stderr, which is its log file."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)sZ %(levelname)s %(name)s: %(message)s", force=True
    )
    with closing(new_store(settings)) as store:
        yield store


def _local_executors(settings: Settings, plugins: Plugins) -> tuple[tuple[str, ...], int]:
    """Return the executors whose attempts the local worker claims, and how many it runs at once."""
    local = {name: spec for name, spec in plugins.executors.items() if spec.needs_local_worker}
    configured = settings.worker.parallelism
    default = local.get(settings.core.executor)
    return tuple(sorted(local)), default.effective_parallelism(configured) if default else configured
