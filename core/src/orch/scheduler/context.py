"""What every scheduler service is given: the store, who it is, its settings, and its plugins."""

from collections.abc import Callable
from dataclasses import dataclass, field

from orch.clock import Clock, from_micros, system_clock
from orch.domain.states import Actor, RunState
from orch.hookspecs.dag_runs import DagRunChange
from orch.hookspecs.executors import AttemptKey, BaseExecutor
from orch.hookspecs.task_instances import TaskInstanceChange
from orch.plugins.facade import Plugins
from orch.settings import Settings
from orch.store.engine import Store
from orch.store.queries.attempts import DispatchRow
from orch.store.queries.runs import RunRow
from orch.store.queries.transitions import By, TaskRow
from orch.store.specs import SpecCache


@dataclass
class SchedulerContext:
    """One scheduler process. `scope` limits it to the runs of one DAG; then it creates no scheduled ones."""

    store: Store
    settings: Settings
    plugins: Plugins
    incarnation: str
    executors: dict[str, BaseExecutor]
    scope: int | None = None
    clock: Clock = system_clock
    specs: SpecCache = field(default_factory=SpecCache)
    hint_workers: Callable[[bytes], None] = lambda _: None
    """Sends a hint of this kind to the workers; it may be lost."""

    def claims_from_database(self, executor: str) -> bool:
        """Return whether the workers of an executor claim from the database and need only be told."""
        return self.plugins.executors[executor].needs_local_worker

    @property
    def by(self) -> By:
        """The actor of this scheduler's moves."""
        return By(Actor.SCHEDULER, self.incarnation)

    @property
    def default_executor(self) -> str:
        """Executor of the tasks that name none."""
        return self.settings.core.executor


@dataclass
class Changes:
    """What one transaction has moved, told to observers after its commit."""

    tasks: list[TaskInstanceChange] = field(default_factory=list)
    runs: list[DagRunChange] = field(default_factory=list)
    queued: list[DispatchRow] = field(default_factory=list)
    may_admit_more: bool = False
    """An admission was cut short, or has changed what it closed before."""
    revoked: list[tuple[str, AttemptKey]] = field(default_factory=list)
    """Attempts that were taken back, each after the name of its executor."""

    def add_task(self, run: RunRow, old: TaskRow, new: TaskRow, at: int) -> None:
        """Note one moved task instance."""
        self.tasks.append(
            TaskInstanceChange(
                run.dag_id,
                run.run_id,
                old.task_id,
                old.map_index,
                old.state,
                new.state,
                new.try_number,
                from_micros(at),
            )
        )

    def add_run(self, run: RunRow, new: RunState, at: int) -> None:
        """Note one moved run."""
        self.runs.append(DagRunChange(run.dag_id, run.run_id, run.state, new, from_micros(at)))

    def tell(self, plugins: Plugins) -> None:
        """Call the observers, once per kind and never with an empty batch."""
        if self.tasks:
            plugins.notify_task_instances(self.tasks)
        if self.runs:
            plugins.notify_runs(self.runs)
