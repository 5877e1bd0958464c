"""The face of orch for authors of DAG files: `from orch import DAG, task`.

Names are imported when they are first used, so that the command line and the control processes, which all import
this package, do not pay for what only DAG files need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orch.errors import DagDefinitionError, NotBuiltYet, nearest

if TYPE_CHECKING:
    from orch.authoring.dag import DAG
    from orch.authoring.dag_decorator import dag
    from orch.authoring.edges import chain, cross_downstream
    from orch.authoring.operator import BaseOperator
    from orch.authoring.python import PythonOperator
    from orch.authoring.signals import Fail, Skip
    from orch.authoring.taskflow import task
    from orch.authoring.xcomarg import XComArg
    from orch.domain.trigger_rules import TriggerRule
    from orch.errors import OrchError, XComError
    from orch.runner.context import Context, get_current_context

__all__ = [
    "DAG",
    "BaseOperator",
    "Context",
    "DagDefinitionError",
    "Fail",
    "OrchError",
    "PythonOperator",
    "Skip",
    "TriggerRule",
    "XComArg",
    "XComError",
    "chain",
    "cross_downstream",
    "dag",
    "get_current_context",
    "task",
]

_HOMES = {
    "DAG": "orch.authoring.dag",
    "BaseOperator": "orch.authoring.operator",
    "Context": "orch.runner.context",
    "DagDefinitionError": "orch.errors",
    "Fail": "orch.authoring.signals",
    "OrchError": "orch.errors",
    "PythonOperator": "orch.authoring.python",
    "Skip": "orch.authoring.signals",
    "TriggerRule": "orch.domain.trigger_rules",
    "XComArg": "orch.authoring.xcomarg",
    "XComError": "orch.errors",
    "chain": "orch.authoring.edges",
    "cross_downstream": "orch.authoring.edges",
    "dag": "orch.authoring.dag_decorator",
    "get_current_context": "orch.runner.context",
    "task": "orch.authoring.taskflow",
}
"""Where each public name lives."""

_LATER = frozenset(
    {
        "Asset",
        "BaseHook",
        "BaseSensor",
        "Connection",
        "Defer",
        "Label",
        "Param",
        "TaskGroup",
        "Variable",
        "setup",
        "task_group",
        "teardown",
    }
)

_ELSEWHERE = {"BashOperator": "orch_standard", "EmptyOperator": "orch_standard"}
"""Names that people look for here -> the package that has them."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value  # the next use does not come here
        return value
    if name in _LATER:
        raise NotBuiltYet(f"{name!r} comes in a later release of orch; leave it out")
    if name in _ELSEWHERE:
        raise DagDefinitionError(f"{name!r} is not in orch; write `from {_ELSEWHERE[name]} import {name}`")
    raise AttributeError(f"module 'orch' has no attribute {name!r}{nearest(name, __all__)}")


def __dir__() -> list[str]:
    return __all__
