"""The serialised DAG: what the scheduler needs to know of a DAG file, as frozen values and canonical JSON."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property
from typing import Any

from orch.domain.graph import Graph

SPEC_FORMAT = 1
"""Version of the JSON layout; a reader refuses a newer one."""


@dataclass(frozen=True, slots=True)
class RetrySpec:
    """How often and when a failed task is tried again."""

    retries: int = 0
    delay_seconds: float = 300.0
    multiplier: float = 1.0
    """1.0 = the same delay each time; 2.0 doubles it with each try."""
    max_delay_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One task: everything but the code it runs."""

    task_id: str
    operator: str
    """Name of the operator class, for people (`BashOperator`)."""
    upstream: tuple[str, ...] = ()
    trigger_rule: str = "all_success"
    retry: RetrySpec = RetrySpec()
    pool: str = "default"
    pool_slots: int = 1
    priority_weight: int = 1
    weight_rule: str = "absolute"
    """How the weight becomes the priority: absolute, downstream, upstream, or a rule that a plugin brings."""
    priority: int | None = None
    """What the weight rule made of the weights; None means the weight itself."""
    max_active_tis_per_dag: int | None = None
    """Most instances of this task, over all runs of the DAG, that may be queued or running."""
    max_active_tis_per_dagrun: int | None = None
    depends_on_past: bool = False
    """Only when the same task of the run before has succeeded or was skipped."""
    wait_for_downstream: bool = False
    """As `depends_on_past`, and the tasks directly downstream of that one have as well."""
    executor: str | None = None
    """None means the default executor of the settings."""
    queue: str = "default"
    isolation: str | None = None
    """`reuse` or `fork`; None means the default of the settings."""
    execution_timeout_seconds: float | None = None
    inputs: tuple[tuple[str, str], ...] = ()
    """(task_id, key) of each XCom its arguments name, read with the claim."""
    doc: str = ""
    owner: str = ""
    is_setup: bool = False
    is_teardown: bool = False
    empty: bool = False
    """True when there is nothing to run (EmptyOperator); kept for later use by the scheduler."""


@dataclass(frozen=True, slots=True)
class TimetableSpec:
    """A schedule that is more than a cron expression: the kind of timetable and what it was given."""

    kind: str
    """Name of a built-in kind or of one that a plugin brings."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON."""


@dataclass(frozen=True)
class DagSpec:
    """One DAG: its graph, schedule and limits. Equal specs have equal hashes whatever the order of parsing."""

    dag_id: str
    tasks: tuple[TaskSpec, ...] = ()
    description: str = ""
    schedule: str | None = None
    """The schedule in a word for people; without `timetable` it says all: None, '@once', or a cron expression."""
    timetable: TimetableSpec | None = None
    timezone: str = "UTC"
    dst: str = "vixie"
    """What happens to ticks that a change of the clock skips or repeats: a `DstRule`."""
    jitter_seconds: float = 0.0
    """Runs begin up to this much after their tick, always by the same amount for one DAG."""
    start_date: datetime | None = None
    end_date: datetime | None = None
    catchup: bool = False
    max_active_tasks: int | None = None
    """None leaves it to the settings, as for the runs."""
    max_active_runs: int | None = None
    tags: tuple[str, ...] = ()
    is_paused_upon_creation: bool = False
    doc: str = ""
    fail_fast: bool = False
    """The first task that fails for good ends the whole run."""
    dagrun_timeout_seconds: float | None = None
    """A run that has been running for longer fails."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Room for later releases and providers; part of the hash."""

    @cached_property
    def graph(self) -> Graph:
        """The DAG as a graph of task ids."""
        graph = Graph()
        for task in self.tasks:
            graph.add_task(task.task_id)
        for task in self.tasks:
            for upstream in task.upstream:
                graph.add_edge(upstream, task.task_id)
        return graph

    @cached_property
    def by_id(self) -> dict[str, TaskSpec]:
        """The tasks by task id."""
        return {task.task_id: task for task in self.tasks}

    @cached_property
    def structure_hash(self) -> str:
        """SHA-256 of the canonical JSON: the same structure has the same hash."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Return the canonical JSON: sorted keys, defaults left out, tasks sorted by id."""
        body = _without_defaults(self)
        body["tasks"] = [_without_defaults(task) for task in sorted(self.tasks, key=lambda t: t.task_id)]
        body["format"] = SPEC_FORMAT
        return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "DagSpec":
        """Read what `to_json` wrote; unknown fields of a newer minor release are ignored."""
        body = json.loads(text)
        if body.pop("format", SPEC_FORMAT) > SPEC_FORMAT:
            raise ValueError("this DAG was serialised by a newer release of orch; upgrade this process")
        tasks = tuple(_task_from(raw) for raw in body.pop("tasks", ()))
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in body.items() if key in known}
        for key in ("start_date", "end_date"):
            if values.get(key) is not None:
                values[key] = datetime.fromisoformat(values[key])
        if values.get("timetable") is not None:
            values["timetable"] = TimetableSpec(**values["timetable"])
        if "tags" in values:
            values["tags"] = tuple(values["tags"])
        return cls(tasks=tasks, **values)


def _without_defaults(value: Any) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for f in fields(value):
        item = getattr(value, f.name)
        default = f.default_factory() if callable(f.default_factory) else f.default
        if f.name != "tasks" and item != default:
            body[f.name] = _plain(item)
    return body


def _plain(item: Any) -> Any:
    if isinstance(item, datetime):
        return item.isoformat()
    if isinstance(item, RetrySpec | TimetableSpec):
        return _without_defaults(item)
    return item


def _task_from(raw: dict[str, Any]) -> TaskSpec:
    known = {f.name for f in fields(TaskSpec)}
    values = {key: value for key, value in raw.items() if key in known}
    if "retry" in values:
        values["retry"] = RetrySpec(**values["retry"])
    if "upstream" in values:
        values["upstream"] = tuple(values["upstream"])
    if "inputs" in values:
        values["inputs"] = tuple((task_id, key) for task_id, key in values["inputs"])
    return TaskSpec(**values)
