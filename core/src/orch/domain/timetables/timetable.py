"""Timetables: the pure rule from one tick to the next, and what a kind of timetable is given to make one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, Protocol

from orch.domain.dst import DstRule
from orch.errors import BadInput

ONCE: Final = "@once"
CONTINUOUS: Final = "continuous"
KINDS_OF_CORE: Final = frozenset({"cron_interval", "crons", "delta", "delta_interval", "dates", CONTINUOUS})
"""The names that plugins cannot take."""

INSTANT = timedelta(microseconds=1)
"""The shortest time there is here."""

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)

Interval = tuple[datetime, datetime]
"""Start and end of the data that a run stands for; a point in time has the same twice."""


class TimetableError(BadInput):
    """A timetable cannot be made of what it is given, or does not keep the contract of timetables."""


class Timetable(Protocol):
    """When runs are due: a set of ticks, each with the data interval and the logical date of its run.

    Every method is a pure function of its argument: no clock, no network, no memory. All moments are aware UTC.
    """

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first tick later than `moment`; None when there is none."""

    def latest(self, moment: datetime) -> datetime | None:
        """Return the last tick at or before `moment`; None when there is none."""

    def interval_of(self, tick: datetime) -> Interval:
        """Return start and end of the data that the run of this tick stands for; the start is not after the end."""

    def logical_date(self, tick: datetime) -> datetime:
        """Return the date that the run of this tick stands for: not after the tick, and later for a later tick."""


@dataclass(frozen=True, slots=True)
class TimetableContext:
    """What a kind of timetable may know of the DAG."""

    zone: tzinfo = UTC
    """Where wall clocks are read."""
    dst: DstRule = DstRule.VIXIE
    """What becomes of ticks that a change of the clock skips or repeats."""
    start_date: datetime | None = None
    """Aware UTC. Logical dates before it are left out by core; a kind may count from it."""
    end_date: datetime | None = None
    """Aware UTC. Logical dates after it are left out by core."""


TimetableFactory = Callable[[Mapping[str, Any], TimetableContext], Timetable]
"""Makes the timetable of one DAG from the arguments of its file, plain JSON; TimetableError when they are wrong."""


class PointTimetable:
    """Base of timetables whose runs stand for a point in time, the tick itself."""

    __slots__ = ()

    def interval_of(self, tick: datetime) -> Interval:
        """Return the tick twice."""
        return tick, tick

    def logical_date(self, tick: datetime) -> datetime:
        """Return the tick."""
        return tick


def just_before(moment: datetime) -> datetime:
    """Return the moment before this one, or the beginning of the calendar."""
    return moment - INSTANT if moment > EARLIEST else EARLIEST


def just_after(moment: datetime) -> datetime:
    """Return the moment after this one, or the end of the calendar."""
    return moment + INSTANT if moment < LATEST else LATEST
