"""Following one run: looking at it whenever the database has changed, until it has ended."""

from collections.abc import Callable
from dataclasses import dataclass

from orch.cli.commands.status import in_order
from orch.clock import monotonic
from orch.domain.dagspec import DagSpec
from orch.domain.states import RUN_TERMINAL
from orch.processes import StopSignal
from orch.store.change_mark import ChangeMark
from orch.store.queries import reading, reading_tasks, waiting
from orch.store.queries.reading import RunRow
from orch.store.queries.reading_tasks import TaskInstanceRow
from orch.store.queries.waiting import Wait
from orch.store.reader import Reader

GLANCE_SECONDS = 0.05
"""How often the files of the database are looked at; the database itself only when they have changed."""
PAUSE_PER_LOOK = 10
"""After a look, pause this many times as long as it took, so that watching a large run stays cheap."""
SURE_SECONDS = 1.0
"""Longest time between two looks, for databases and file systems that tell no change."""


@dataclass(frozen=True, slots=True)
class Look:
    """One run as it was at one moment."""

    run: RunRow
    spec: DagSpec
    tasks: list[TaskInstanceRow]
    wait: Wait | None
    """Why it has not started, or waits for the run before, or was ended early; None when it goes its way."""

    @property
    def has_ended(self) -> bool:
        """Return whether the run is over."""
        return self.run.state in RUN_TERMINAL


class Follower:
    """Follows one run with reads only."""

    def __init__(self, reader: Reader, url: str, run_pk: int) -> None:
        self._reader = reader
        self._mark = ChangeMark(url)
        self._run_pk = run_pk
        self._spec: DagSpec | None = None

    def look(self) -> Look:
        """Return the run as it is now."""
        with self._reader.read() as tx:
            run = reading.run_by_pk(tx, self._run_pk)
            if self._spec is None:
                self._spec = reading.spec_of(tx, run.dag_version_id)
            tasks = in_order(reading_tasks.list_task_instances(tx, self._run_pk), self._spec)
            facts = waiting.facts_of(tx, run, self._spec, tasks)
            wait = waiting.wait_of_run(tx, facts) or waiting.wait_for_past(facts)
        return Look(run, self._spec, tasks, wait)

    def follow(
        self,
        stop: StopSignal,
        show: Callable[[Look], None],
        is_lost: Callable[[], bool] = lambda: False,
        listen: Callable[[], None] = lambda: None,
    ) -> Look | None:
        """Show the run at each change until it has ended; None when `stop` was set or `is_lost()` became true.

        `listen` is called at each glance, whether the database has changed or not.
        """
        rested_at = sure_at = 0.0
        while not stop.is_set:
            listen()
            began = monotonic()
            if began >= sure_at or (began >= rested_at and self._mark.moved()):
                look = self.look()
                show(look)
                if look.has_ended:
                    return look
                if is_lost():
                    return None
                ended = monotonic()
                rested_at, sure_at = ended + PAUSE_PER_LOOK * (ended - began), ended + SURE_SECONDS
            stop.wait(GLANCE_SECONDS)
        listen()
        return None
