"""A drop-in plugin: a kind of timetable for workdays, with the holidays that a DAG names.

    from orch import DAG
    from orch.timetables import PluginTimetable

    DAG("report", schedule=PluginTimetable("workdays", hour=6, holidays=["2024-12-25", "2024-12-26"]), ...)

A run begins at that time of each workday and stands for the span since the workday before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from orch.hookspecs import Timetable, TimetableContext, TimetableError, TimetableKind, hookimpl

ONE_DAY = timedelta(days=1)
SATURDAY = 5
MOST_DAYS = 400
"""So many days in a row without a workday are the end of the schedule."""


@dataclass(frozen=True)
class Workdays:
    """A tick at one time of day on each day from Monday to Friday that is no holiday."""

    at: time
    zone: tzinfo
    holidays: frozenset[date]

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first such time later than `moment`."""
        day = moment.astimezone(self.zone).date()
        ticks = (self._tick(day + n * ONE_DAY) for n in range(MOST_DAYS))
        return next((tick for tick in ticks if tick is not None and tick > moment), None)

    def latest(self, moment: datetime) -> datetime | None:
        """Return the last such time at or before `moment`."""
        day = moment.astimezone(self.zone).date()
        ticks = (self._tick(day - n * ONE_DAY) for n in range(MOST_DAYS))
        return next((tick for tick in ticks if tick is not None and tick <= moment), None)

    def interval_of(self, tick: datetime) -> tuple[datetime, datetime]:
        """Return the span since the workday before."""
        return self.logical_date(tick), tick

    def logical_date(self, tick: datetime) -> datetime:
        """Return the tick of the workday before; the first workday of all stands for itself."""
        return self.latest(tick - timedelta(microseconds=1)) or tick

    def _tick(self, day: date) -> datetime | None:
        if day.weekday() >= SATURDAY or day in self.holidays:
            return None
        return datetime.combine(day, self.at, self.zone).astimezone(UTC)


def make(arguments: Mapping[str, Any], context: TimetableContext) -> Timetable:
    """Return the timetable that these arguments mean."""
    unknown = arguments.keys() - {"hour", "minute", "holidays"}
    if unknown:
        raise TimetableError(f"unknown argument {min(unknown)!r}; it takes hour, minute and holidays")
    try:
        at = time(arguments.get("hour", 0), arguments.get("minute", 0))
        holidays = frozenset(date.fromisoformat(text) for text in arguments.get("holidays", ()))
    except (TypeError, ValueError) as error:
        raise TimetableError(f"{error}; write it like hour=6, minute=30, holidays=['2024-12-25']") from None
    return Workdays(at, context.zone, holidays)


def describe(arguments: Mapping[str, Any]) -> str:
    """Return `workdays at 06:30`, and the number of holidays."""
    words = f"workdays at {arguments.get('hour', 0):02}:{arguments.get('minute', 0):02}"
    holidays = len(arguments.get("holidays", ()))
    return f"{words} without {holidays} holiday{'s' if holidays > 1 else ''}" if holidays else words


@hookimpl
def register_timetables() -> Sequence[TimetableKind]:
    """Name the one kind that this plugin brings."""
    return [TimetableKind("workdays", make, describe)]
