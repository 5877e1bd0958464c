"""Timetables for authors of DAG files: `from orch.timetables import CronInterval`."""

from typing import Any

from orch.authoring.timetables import (
    AIRFLOW_NAMES,
    Continuous,
    CronInterval,
    Dates,
    Delta,
    DeltaInterval,
    PluginTimetable,
    SeveralCrons,
)
from orch.errors import DagDefinitionError, nearest

__all__ = [
    "Continuous",
    "CronInterval",
    "Dates",
    "Delta",
    "DeltaInterval",
    "PluginTimetable",
    "SeveralCrons",
]


def __getattr__(name: str) -> Any:
    if name in AIRFLOW_NAMES:
        raise DagDefinitionError(
            f"{name!r} is not in orch.timetables; its equivalent is {AIRFLOW_NAMES[name]}"
        )
    raise AttributeError(f"module 'orch.timetables' has no attribute {name!r}{nearest(name, __all__)}")
