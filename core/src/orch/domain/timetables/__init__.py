"""Timetables: when runs are due, as pure rules from one tick to the next.

Names are imported when they are first used: plugins need the contract at every start of a command, and only those
who read schedules need cron and the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orch.domain.timetables.bounds import BoundedTimetable, DagTimetable, NeverTimetable, OnceTimetable
    from orch.domain.timetables.kinds import BUILT_IN, context_of, follows_end, timetable_of
    from orch.domain.timetables.timetable import (
        KINDS_OF_CORE,
        Interval,
        PointTimetable,
        Timetable,
        TimetableContext,
        TimetableError,
        TimetableFactory,
    )

__all__ = [
    "BUILT_IN",
    "KINDS_OF_CORE",
    "BoundedTimetable",
    "DagTimetable",
    "Interval",
    "NeverTimetable",
    "OnceTimetable",
    "PointTimetable",
    "Timetable",
    "TimetableContext",
    "TimetableError",
    "TimetableFactory",
    "context_of",
    "follows_end",
    "timetable_of",
]

_HOMES = {
    "BUILT_IN": "kinds",
    "BoundedTimetable": "bounds",
    "DagTimetable": "bounds",
    "NeverTimetable": "bounds",
    "OnceTimetable": "bounds",
    "context_of": "kinds",
    "follows_end": "kinds",
    "timetable_of": "kinds",
}
"""Where a name lives; the others are in `timetable`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'timetable')}"), name)
    globals()[name] = value  # the next use does not come here
    return value
