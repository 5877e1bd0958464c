"""Hook specs and the frozen values they exchange: everything a plugin author imports from orch."""

from orch.hookspecs.commands import CliCommandSpec
from orch.hookspecs.dag_runs import DagRunChange
from orch.hookspecs.executors import (
    AttemptKey,
    BaseExecutor,
    Dispatch,
    ExecutorContext,
    ExecutorSpec,
    ExecutorStateError,
    Inventory,
)
from orch.hookspecs.markers import hookimpl
from orch.hookspecs.operators import OperatorSpec
from orch.hookspecs.task_instances import TaskInstanceChange
from orch.hookspecs.timetables import (
    PointTimetable,
    Timetable,
    TimetableContext,
    TimetableError,
    TimetableKind,
)
from orch.hookspecs.weight_rules import WeightRuleSpec

__all__ = [
    "AttemptKey",
    "BaseExecutor",
    "CliCommandSpec",
    "DagRunChange",
    "Dispatch",
    "ExecutorContext",
    "ExecutorSpec",
    "ExecutorStateError",
    "Inventory",
    "OperatorSpec",
    "PointTimetable",
    "TaskInstanceChange",
    "Timetable",
    "TimetableContext",
    "TimetableError",
    "TimetableKind",
    "WeightRuleSpec",
    "hookimpl",
]
