"""The context: what user code can ask about the attempt that it is part of."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

from orch.authoring.operator import BaseOperator
from orch.authoring.xcomarg import RETURN_KEY
from orch.errors import OrchError, XComError, nearest
from orch.runner import xcom
from orch.runner.channel import Channel
from orch.runner.command import TaskCommand


class ContextError(OrchError, KeyError):
    """The context does not hold what was asked for."""

    __str__ = OrchError.__str__  # KeyError's would quote the sentence


class Fence(NamedTuple):
    """Proof of the right to act for one attempt, for outside systems that can compare it.

    Of two attempts of a task instance, the one with the larger epoch is the valid one.
    """

    epoch: int
    nonce: str


@dataclass(frozen=True, slots=True)
class DagRun:
    """The run that the task is part of. A run triggered by hand may have no logical date."""

    dag_id: str
    run_id: str
    run_type: str
    logical_date: datetime | None
    data_interval_start: datetime | None
    data_interval_end: datetime | None
    run_after: datetime | None
    conf: Mapping[str, Any]


class TaskInstance:
    """The task instance that is running, as user code sees it."""

    def __init__(
        self, command: TaskCommand, channel: Channel, known_task_ids: Callable[[], Iterable[str]]
    ) -> None:
        """`known_task_ids` is called when another task's value is asked for: a DAG may have very many."""
        self.dag_id = command.dag_id
        self.run_id = command.run_id
        self.task_id = command.task_id
        self.map_index = command.map_index
        self.try_number = command.try_number
        self.max_tries = command.max_tries
        self.fence = Fence(command.epoch, command.nonce)
        self._max_bytes = command.xcom_max_bytes
        self._channel = channel
        self._find_task_ids = known_task_ids
        self._read: dict[tuple[str, str, int], str | None] = {
            (task_id, key, map_index): value
            for task_id, key, map_index, value in command.inputs
            if not (
                command.inputs_left_out and value is None
            )  # then one question for each, when it is needed
        }
        self._pushed: dict[str, str] = {}

    @cached_property
    def _known_task_ids(self) -> frozenset[str]:
        return frozenset(self._find_task_ids())

    def xcom_push(self, key: str, value: Any) -> None:
        """Hand a value to other tasks of the run; they can see it once this try has ended.

        The value is copied now, as JSON; pushing a key again replaces its value.
        """
        key = xcom.check_key(self.task_id, key)
        self._pushed[key] = xcom.encode(value, task_id=self.task_id, key=key, max_bytes=self._max_bytes)

    def xcom_pull(
        self,
        task_ids: str | Iterable[str] | None = None,
        key: str = RETURN_KEY,
        *,
        default: Any = None,
        map_index: int = -1,
    ) -> Any:
        """Return the value that a task of the same run handed over, or `default` when there is none.

        Several task ids give a list of values in their order; None stands for this task itself.
        """
        if task_ids is not None and not isinstance(task_ids, str):
            return [self.xcom_pull(one, key, default=default, map_index=map_index) for one in task_ids]
        text = self.xcom_text(task_ids or self.task_id, key, map_index)
        return default if text is None else xcom.decode(text)

    def xcom_text(self, task_id: str, key: str, map_index: int = -1) -> str | None:
        """Return the JSON text of a value, or None when there is none."""
        if task_id == self.task_id and map_index in (-1, self.map_index) and key in self._pushed:
            return self._pushed[key]
        if task_id not in self._known_task_ids:
            hint = nearest(task_id, self._known_task_ids)
            raise XComError(
                f"task {self.task_id!r} asks for the XCom {key!r} of task {task_id!r}, which DAG "
                f"{self.dag_id!r} does not have{hint}"
            )
        place = (task_id, key, map_index)
        if place not in self._read:
            question = {"op": "xcom_get", "task_id": task_id, "key": key, "map_index": map_index}
            self._read[place] = self._channel.request(question)["value"]
        return self._read[place]

    @property
    def pushed(self) -> tuple[tuple[str, str], ...]:
        """(key, JSON text) of each value pushed so far."""
        return tuple(self._pushed.items())

    def __repr__(self) -> str:
        return (
            f"<try {self.try_number} of task {self.task_id!r} in run {self.run_id!r} of DAG {self.dag_id!r}>"
        )


class Context(Mapping[str, Any]):
    """The facts on the running attempt by name; an unknown or absent one raises ContextError."""

    def __init__(self, values: Mapping[str, Any], absent: Mapping[str, str]) -> None:
        self._values = dict(values)
        self._absent = dict(absent)

    def __getitem__(self, key: str) -> Any:
        try:
            return self._values[key]
        except KeyError:
            why = self._absent.get(key) or f"the context has no {key!r}{nearest(str(key), self._values)}"
            raise ContextError(why) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Context of {self._values['ti']!r}>"


def build_context(command: TaskCommand, task: BaseOperator, ti: TaskInstance) -> Context:
    """Return the context of one attempt."""
    run = DagRun(
        dag_id=command.dag_id,
        run_id=command.run_id,
        run_type=command.run_type,
        logical_date=command.logical_date,
        data_interval_start=command.data_interval_start,
        data_interval_end=command.data_interval_end,
        run_after=command.run_after,
        conf=dict(command.conf),
    )
    values = {
        "dag": task.dag,
        "task": task,
        "ti": ti,
        "task_instance": ti,
        "dag_run": run,
        "run": run,
        "run_id": run.run_id,
        "logical_date": run.logical_date,
        "data_interval_start": run.data_interval_start,
        "data_interval_end": run.data_interval_end,
        "run_after": run.run_after,
        "conf": run.conf,
        "params": {},
    }
    if run.logical_date is not None:
        logical_date = run.logical_date.astimezone(UTC)
        return Context({**values, "ds": logical_date.date().isoformat(), "ts": logical_date.isoformat()}, {})
    why = (
        f"run {run.run_id!r} has no logical date, so its context has no {{}}; "
        "trigger it with a logical date, or use 'run_after'"
    )
    return Context(values, {key: why.format(repr(key)) for key in ("ds", "ts")})


_CURRENT: ContextVar[Context | None] = ContextVar("orch_context", default=None)


def get_current_context() -> Context:
    """Return the context of the task that is running in this thread; raise ContextError outside of one."""
    context = _CURRENT.get()
    if context is None:
        raise ContextError(
            "no task is running here; get_current_context() works in the code of a task, in the thread that orch "
            "started it in"
        )
    return context


@contextmanager
def running_in(context: Context) -> Iterator[Context]:
    """Make `context` the current one inside the block."""
    token = _CURRENT.set(context)
    try:
        yield context
    finally:
        _CURRENT.reset(token)
