"""The DAG: a named set of tasks with a schedule and limits."""

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from orch.authoring import checks, current
from orch.authoring.arguments import LATER_DAG_ARGUMENTS, LATER_TASK_ARGUMENTS, refuse_unknown
from orch.authoring.collect import defining_file, is_collecting, register
from orch.authoring.operator import BaseOperator
from orch.authoring.run_result import RunResult, StateChange
from orch.authoring.schedule import CONTINUOUS, declared, moment, timezone_of
from orch.authoring.timetables import Declaration
from orch.domain.cron import DstRule
from orch.domain.dagspec import DagSpec
from orch.domain.priorities import with_priorities
from orch.errors import CycleError, DagDefinitionError, NotFound, nearest
from orch.ids import check_id

Schedule = str | timedelta | Sequence[str] | Sequence[datetime] | Declaration | None
"""What `schedule=` takes."""

_OF_THE_DAG = ("start_date", "end_date")
"""Keys of default_args that the DAG itself takes when it is not given them."""


class DAG:
    """Tasks made inside `with DAG("name") as dag:`, or with `dag=dag`, belong to it.

    `schedule` is None (only by hand), a cron expression, "@once", "@continuous", a timedelta, a list of cron
    expressions or of datetimes, or a timetable of `orch.timetables`. Expressions, and dates without a zone, are
    read in `timezone` (that of `start_date`, else UTC). Logical dates lie between `start_date` and `end_date`,
    both included; `catchup` makes up for those missed. At most `max_active_tasks` tasks of the DAG run at once, and
    `max_active_runs` runs (16 each unless given here or in the settings). `default_args` are arguments for
    every task that takes them.
    """

    def __init__(
        self,
        dag_id: str,
        *,
        schedule: Schedule = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        timezone: str | tzinfo | None = None,
        dst: str = "vixie",
        jitter: timedelta | float = 0,
        catchup: bool = False,
        max_active_tasks: int | None = None,
        max_active_runs: int | None = None,
        dagrun_timeout: timedelta | float | None = None,
        fail_fast: bool = False,
        tags: Iterable[str] | None = None,
        default_args: Mapping[str, Any] | None = None,
        description: str | None = None,
        doc_md: str | None = None,
        is_paused_upon_creation: bool | None = None,
        **unknown: Any,
    ) -> None:
        self.dag_id = check_id("DAG", dag_id)
        refuse_unknown(str(self), unknown, DAG.__init__.__annotations__, LATER_DAG_ARGUMENTS)
        self.default_args = self._checked_defaults(default_args)
        self._unused_defaults = set(self.default_args)
        self.schedule = schedule
        self.start_date = start_date or self.default_args.get("start_date")
        self.end_date = end_date or self.default_args.get("end_date")
        self.timezone = timezone
        self.dst = dst
        self.jitter = jitter
        self.catchup = catchup
        self.max_active_tasks = max_active_tasks
        self.max_active_runs = max_active_runs
        self.dagrun_timeout = dagrun_timeout
        self.fail_fast = fail_fast
        self.tags = tags
        self.description = description
        self.doc_md = doc_md
        self.is_paused_upon_creation = is_paused_upon_creation
        self.file = defining_file()
        """The file whose module-level code made this DAG, as that module's `__file__`."""
        self._tasks: dict[str, BaseOperator] = {}
        self._copies: dict[str, int] = {}
        self._spec_without_tasks()
        register(self)

    # Tasks

    @property
    def tasks(self) -> list[BaseOperator]:
        """The tasks in the order they were made."""
        return list(self._tasks.values())

    @property
    def task_ids(self) -> list[str]:
        """The ids of the tasks in the order they were made."""
        return list(self._tasks)

    def get_task(self, task_id: str) -> BaseOperator:
        """Return the task of this id; raise NotFound, naming the nearest one, when there is none."""
        try:
            return self._tasks[task_id]
        except KeyError:
            hint = nearest(task_id, self._tasks)
            raise NotFound(f"DAG {self.dag_id!r} has no task {task_id!r}{hint}") from None

    def add_task(self, task: BaseOperator) -> None:
        """Add a constructed task; its id must be new. Constructing a task inside the DAG does this."""
        if task.task_id in self._tasks:
            raise DagDefinitionError(
                f"DAG {self.dag_id!r} has a task {task.task_id!r} already; give one of the two another task_id"
            )
        self._tasks[task.task_id] = task

    def free_task_id(self, task_id: str) -> str:
        """Return `task_id`, or the first of `<task_id>__1`, `<task_id>__2` ... that no task has."""
        if task_id not in self._tasks:
            return task_id
        number = self._copies.get(task_id, 0) + 1
        while f"{task_id}__{number}" in self._tasks:
            number += 1
        self._copies[task_id] = number
        return f"{task_id}__{number}"

    def defaults_for(self, argument_names: Collection[str]) -> dict[str, Any]:
        """Return those default_args that are among `argument_names`."""
        used = {name: value for name, value in self.default_args.items() if name in argument_names}
        self._unused_defaults -= used.keys()
        return used

    # The serialised form

    def to_spec(self) -> DagSpec:
        """Return the DAG as the scheduler needs it; raise when it has a cycle or anything is declared wrongly."""
        self._refuse_misspelt_defaults()
        tasks = tuple(task.to_spec() for task in self._tasks.values())
        spec = self._spec_without_tasks(tasks=tasks)
        try:
            spec.graph.topological_order()
        except CycleError as error:
            error.args = (f"{self} has a {error}",)
            raise
        return with_priorities(spec)

    def test(
        self,
        run_after: datetime | None = None,
        logical_date: datetime | None = None,
        run_conf: Mapping[str, Any] | None = None,
        *,
        parallelism: int = 1,
        pools: Mapping[str, int] | None = None,
        wait_for_retries: bool = True,
        mark_success_pattern: re.Pattern[str] | str | None = None,
        on_event: Callable[[StateChange], None] | None = None,
    ) -> RunResult:
        """Run the DAG once in this process, without database and files, and return what came of it.

        With `parallelism=1` every task runs in the calling thread, so that `breakpoint()` and a debugger work;
        with more, in so many threads, and each printed line begins with its task. Dates without a zone are read
        in that of the DAG. `pools` gives sizes; `default` has 128 slots, pools that are not named have no limit.
        `wait_for_retries=False` does not wait for retry delays: the run's clock leaps over them. Tasks whose id
        matches `mark_success_pattern` as a whole are successes without running. `on_event` is called with each
        change of a state, in the calling thread. A failed run is a result, not an error: see
        `RunResult.raise_for_state`.
        """
        if is_collecting():
            raise DagDefinitionError(
                f"{self}: .test() would run while its file is imported; put it under `if __name__ == '__main__':`"
            )
        # By name, at its first use: the runner stands above authoring, and most processes never need it.
        inprocess: Any = import_module("orch.inprocess.dag_test")
        options = inprocess.Options(
            parallelism=parallelism,
            pools=dict(pools or {}),
            wait_for_retries=wait_for_retries,
            on_event=on_event,
        )
        request = inprocess.Request(run_after, logical_date, run_conf, mark_success_pattern, options)
        result: RunResult = inprocess.run_dag(self, request)
        return result

    def __enter__(self) -> Self:
        current.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        current.leave()

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._tasks

    def __str__(self) -> str:
        return f"DAG {self.dag_id!r}"

    def __repr__(self) -> str:
        count = "1 task" if len(self._tasks) == 1 else f"{len(self._tasks)} tasks"
        return f"<{self} with {count}, schedule {self.schedule!r}>"

    # Private

    def _spec_without_tasks(self, **fields: Any) -> DagSpec:
        """Check every argument of the DAG itself."""
        zone_name, zone = timezone_of(str(self), self.timezone, self.start_date)
        start = moment(str(self), "start_date", self.start_date, zone)
        end = moment(str(self), "end_date", self.end_date, zone)
        if start is not None and end is not None and end < start:
            raise DagDefinitionError(
                f"{self}: end_date {self.end_date} is before start_date {self.start_date}"
            )
        schedule = declared(str(self), self.schedule, zone)
        timeout = self._checked("dagrun_timeout", checks.optional(checks.positive_span))
        return DagSpec(
            dag_id=self.dag_id,
            description=self._checked("description", checks.optional(checks.text)) or "",
            schedule=schedule.schedule,
            timetable=schedule.timetable,
            timezone=zone_name,
            dst=self._checked("dst", checks.one_of(DstRule)),
            jitter_seconds=self._checked("jitter", checks.span).total_seconds(),
            start_date=start,
            end_date=end,
            catchup=self._checked("catchup", checks.switch),
            max_active_tasks=self._limit("max_active_tasks"),
            max_active_runs=self._most_runs(is_continuous=schedule.schedule == CONTINUOUS),
            dagrun_timeout_seconds=None if timeout is None else timeout.total_seconds(),
            fail_fast=self._checked("fail_fast", checks.switch),
            tags=self._checked("tags", checks.optional(checks.names)) or (),
            is_paused_upon_creation=bool(
                self._checked("is_paused_upon_creation", checks.optional(checks.switch))
            ),
            doc=self._checked("doc_md", checks.optional(checks.text)) or "",
            **fields,
        )

    def _most_runs(self, *, is_continuous: bool) -> int | None:
        limit = self._limit("max_active_runs")
        if is_continuous and limit not in (None, 1):
            raise DagDefinitionError(
                f"{self}: schedule {CONTINUOUS!r} has one run at a time; leave max_active_runs out or make it 1, "
                f"not {limit}"
            )
        return 1 if is_continuous else limit

    def _limit(self, name: str) -> int | None:
        limit = self._checked(name, checks.optional(checks.whole(1)))
        return None if limit is None else int(limit)

    def _checked(self, name: str, check: checks.Check) -> Any:
        return checks.checked(self, name, getattr(self, name), check)

    def _checked_defaults(self, default_args: Mapping[str, Any] | None) -> dict[str, Any]:
        if default_args is not None and not isinstance(default_args, Mapping):
            raise DagDefinitionError(f"{self}: default_args must be a dict, not {default_args!r}")
        defaults = dict(default_args or {})
        thing = f"default_args of {self}"
        for name in ("task_id", "dag"):
            if name in defaults:
                raise DagDefinitionError(f"{thing}: {name!r} cannot be the same for all tasks; leave it out")
        later = LATER_TASK_ARGUMENTS.difference(_OF_THE_DAG)
        refuse_unknown(thing, {name: defaults[name] for name in defaults if name in later}, (), later)
        return defaults

    def _refuse_misspelt_defaults(self) -> None:
        """Refuse a default that no task took and that looks like an argument that every task takes."""
        for name in sorted(self._unused_defaults - BaseOperator.argument_names - LATER_TASK_ARGUMENTS):
            if close := difflib.get_close_matches(name, BaseOperator.argument_names, n=1, cutoff=0.75):
                raise DagDefinitionError(
                    f"default_args of {self}: no task takes {name!r}; did you mean {close[0]!r}?"
                )
