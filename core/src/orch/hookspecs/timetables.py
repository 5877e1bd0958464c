"""Timetables: the kinds of schedules that plugins bring."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orch.domain.timetables import (
    PointTimetable,
    Timetable,
    TimetableContext,
    TimetableError,
    TimetableFactory,
)
from orch.hookspecs.markers import hookspec

__all__ = [
    "PointTimetable",
    "Timetable",
    "TimetableContext",
    "TimetableError",
    "TimetableKind",
    "register_timetables",
]


@dataclass(frozen=True, slots=True)
class TimetableKind:
    """One kind of timetable of a plugin; DAG files name it in `PluginTimetable("name", ...)`."""

    name: str
    """Small letters, digits, `_`, `-` and `.`; not the name of a kind of core."""
    factory: TimetableFactory
    """`factory(arguments, context)` makes the timetable of one DAG from the arguments in its file, plain JSON.

    It raises TimetableError, with a sentence for the author of the DAG, when they are wrong.
    """
    describe: Callable[[Mapping[str, Any]], str] | None = None
    """From the arguments to the schedule in a few words for people; None leaves it at name and arguments."""


@hookspec
def register_timetables() -> Sequence[TimetableKind]:
    """Name the kinds of timetables that this plugin brings.

    A name that two plugins bring is an error that names both. Timetables are called in the control processes:
    they are pure functions, without clock, network and memory, and each call may take 0.1 s. What breaks that
    contract is an error that names the kind and the plugin, and the DAG with such a schedule gets no runs until
    it is mended; other DAGs go on.

    Kind: collecting
    Caller: every process that loads plugins
    Moment: once, at boot
    Transaction: none
    Thread: the main thread
    Since: 0.1
    """
    return ()
