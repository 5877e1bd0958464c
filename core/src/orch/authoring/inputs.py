"""Inputs: the results of other tasks that a task's fields name.

The rule: an operator class lists in `template_fields` the attributes whose value may be, or contain, results of
other tasks. When a task has been constructed, each result found there makes an edge. Right before the task starts,
a copy of it gets the values in their place. A result in any other attribute is an error, because nothing would
replace it.
"""

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

from orch.authoring.templates import refuse_templates
from orch.authoring.xcomarg import RETURN_KEY, Lookup, XComArg, find_xcom_args, replace_xcom_args
from orch.errors import DagDefinitionError, nearest

if TYPE_CHECKING:  # an operator finds its inputs, so a real import would be circular
    from orch.authoring.operator import BaseOperator


def find_inputs(task: "BaseOperator") -> list[XComArg]:
    """Return the results that the task's template fields name, in the order of the fields."""
    found = [argument for field in fields_of(task) for argument in find_xcom_args(_value(task, field))]
    _refuse_misplaced(task)
    for field in fields_of(task):
        if field not in task.literal_fields:
            refuse_templates(task, field, getattr(task, field))
    return found


def resolve_inputs(task: "BaseOperator", lookup: Lookup) -> "BaseOperator":
    """Return a copy of the task whose template fields hold values; the task itself keeps its XComArgs."""
    resolved = copy.copy(task)
    for field in fields_of(task):
        setattr(resolved, field, replace_xcom_args(getattr(task, field), lookup))
    return resolved


def fields_of(task: "BaseOperator") -> tuple[str, ...]:
    """Return the names in `template_fields`; one that the task does not have is an error."""
    fields = type(task).template_fields
    if isinstance(fields, str):
        raise DagDefinitionError(
            f"template_fields of {type(task).__name__} is the text {fields!r}; make it a tuple: ({fields!r},)"
        )
    for field in fields:
        if not hasattr(task, field):
            own = [name for name in vars(task) if name not in task.base_attributes]
            raise DagDefinitionError(
                f"template_fields of {type(task).__name__} names {field!r}, but {task} has no such attribute"
                f"{nearest(field, own)}"
            )
    return tuple(fields)


def _value(task: "BaseOperator", field: str) -> object:
    value = getattr(task, field)
    for misplaced in _tasks_in(value):
        raise DagDefinitionError(
            f"{task}: {field} contains {misplaced}; for its result write {misplaced.task_id}.output"
        )
    return value


def _tasks_in(value: object) -> "Iterator[BaseOperator]":
    items = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else (value,)
    )
    return (item for item in items if hasattr(type(item), "template_fields"))


def _refuse_misplaced(task: "BaseOperator") -> None:
    for name, value in vars(task).items():
        if name in task.base_attributes or name in task.template_fields:
            continue
        for argument in find_xcom_args(value):
            what = "result" if argument.key == RETURN_KEY else f"XCom {argument.key!r}"
            raise DagDefinitionError(
                f"{task}: its attribute {name!r} holds the {what} of task {argument.operator.task_id!r}, which "
                f"orch replaces only in template fields; add {name!r} to template_fields of {type(task).__name__}"
            )
