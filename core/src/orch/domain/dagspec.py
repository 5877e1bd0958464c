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
    executor: str | None = None
    """None means the default executor of the settings."""
    queue: str = "default"
    isolation: str = "fork"
    execution_timeout_seconds: float | None = None
    inputs: tuple[tuple[str, str], ...] = ()
    """(task_id, key) of each XCom its arguments name, read with the claim."""
    doc: str = ""
    owner: str = ""
    is_setup: bool = False
    is_teardown: bool = False
    empty: bool = False
    """True when there is nothing to run (EmptyOperator); kept for later use by the scheduler."""


@dataclass(frozen=True)
class DagSpec:
    """One DAG: its graph, schedule and limits. Equal specs have equal hashes whatever the order of parsing."""

    dag_id: str
    tasks: tuple[TaskSpec, ...] = ()
    description: str = ""
    schedule: str | None = None
    """Canonical text of the schedule: None, '@once', or a cron expression."""
    timezone: str = "UTC"
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
    if isinstance(item, RetrySpec):
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
