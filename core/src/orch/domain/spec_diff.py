"""The difference of two versions of a DAG: tasks, edges, and every field that says something else."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from typing import Any

from orch.domain.dagspec import DagSpec, TaskSpec

Changes = Mapping[str, tuple[Any, Any]]
"""Field → what it was and what it is, as plain JSON."""


@dataclass(frozen=True, slots=True)
class SpecDiff:
    """What is not the same; everything empty means the same structure."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: Mapping[str, Changes] = field(default_factory=dict)
    """Task id → its fields that differ, edges apart."""
    edges_added: tuple[tuple[str, str], ...] = ()
    edges_removed: tuple[tuple[str, str], ...] = ()
    dag: Changes = field(default_factory=dict)
    """Schedule, limits and all else of the DAG itself."""


def compare(before: DagSpec, after: DagSpec) -> SpecDiff:
    """Return what changed from one version to another, sorted by name."""
    old, new = before.by_id, after.by_id
    edges_before, edges_after = _edges(before), _edges(after)
    changed = {task_id: _changes(old[task_id], new[task_id]) for task_id in sorted(old.keys() & new.keys())}
    return SpecDiff(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed={task_id: changes for task_id, changes in changed.items() if changes},
        edges_added=tuple(sorted(edges_after - edges_before)),
        edges_removed=tuple(sorted(edges_before - edges_after)),
        dag=_changes(before, after),
    )


def _edges(spec: DagSpec) -> set[tuple[str, str]]:
    return {(upstream, task.task_id) for task in spec.tasks for upstream in task.upstream}


def _changes(before: TaskSpec | DagSpec, after: TaskSpec | DagSpec) -> Changes:
    old, new = _flat(before), _flat(after)
    names = [*old, *(name for name in new if name not in old)]
    return {
        name: (old.get(name), new.get(name))
        for name in names
        if old.get(name) != new.get(name) and name not in ("tasks", "upstream")
    }


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return all fields by name; those of a field that has fields are named `retry.delay_seconds`."""
    flat: dict[str, Any] = {}
    for one in fields(value):
        item = getattr(value, one.name)
        if is_dataclass(item):
            flat |= _flat(item, f"{prefix}{one.name}.")
        else:
            flat[f"{prefix}{one.name}"] = _plain(item)
    return flat


def _plain(item: Any) -> Any:
    if isinstance(item, datetime):
        return item.isoformat()
    if isinstance(item, Mapping):
        return dict(item)
    return [_plain(one) for one in item] if isinstance(item, tuple) else item
