"""A cron expression and the wall-clock times it matches; no time zone is known here.

The next match is found field by field, from the year down to the second, on sets stored as the bits of
integers. However far away it is, the cost is that of walking the years to it.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime, timedelta

from orch.domain.cron_days import days_of_month, members
from orch.domain.cron_fields import CronFields
from orch.domain.cron_text import CronError, read_fields
from orch.domain.cron_words import describe
from orch.errors import BadInput

ONE_SECOND = timedelta(seconds=1)
LOWEST, HIGHEST = 0, 63  # no field holds a number beyond these
LENGTHS = {2: (28, 29), 4: (30,), 6: (30,), 9: (30,), 11: (30,)}

Clock = tuple[int, int, int]
"""Hour, minute, second."""


@dataclass(frozen=True, slots=True)
class CronExpression:
    """A set of wall-clock times, to the second, in the years 1 to 9999."""

    fields: CronFields

    @classmethod
    def parse(cls, text: str) -> "CronExpression":
        """Read an expression of 5 or 6 fields, or a macro such as `@daily`; a `CronError` names the column.

        An expression that matches no date at all (30 February) is an error too.
        """
        fields = read_fields(text)
        if not any(
            days_of_month(fields, first, length)
            for month in members(fields.months)
            for length in LENGTHS.get(month, (31,))
            for first in range(7)
        ):
            *_, day, month_text, week_day = re.finditer(r"\S+", text)
            also = "" if week_day[0] == "*" else f" on day of week {week_day[0]}"
            reason = f"there is no day of month {day[0]} in month {month_text[0]}{also}"
            raise CronError(text, day.start() + 1, reason)
        return cls(fields)

    def __str__(self) -> str:
        return self.fields.text

    @property
    def is_wildcard(self) -> bool:
        """Whether hour or minute starts with `*`, which decides how the vixie rule treats a clock change."""
        return self.fields.is_wildcard

    def describe(self) -> str:
        """The expression in English words."""
        return describe(self.fields)

    def matches(self, wall: datetime) -> bool:
        """Whether the naive wall-clock time `wall` is a match."""
        _require_naive(wall)
        return self._seek(wall, forward=True) == wall

    def next_after(self, after: datetime) -> datetime | None:
        """The first match later than the naive wall-clock time `after`, or None past the year 9999."""
        _require_naive(after)
        floor = after.replace(microsecond=0)
        return None if datetime.max - floor < ONE_SECOND else self._seek(floor + ONE_SECOND, forward=True)

    def previous_before(self, before: datetime) -> datetime | None:
        """The last match earlier than the naive wall-clock time `before`, or None before the year 1."""
        _require_naive(before)
        if before.microsecond:
            return self._seek(before.replace(microsecond=0), forward=False)
        return None if before == datetime.min else self._seek(before - ONE_SECOND, forward=False)

    def _seek(self, moment: datetime, forward: bool) -> datetime | None:
        """The match at `moment`, else the nearest one in the given direction."""
        step, edge = (1, LOWEST) if forward else (-1, HIGHEST)
        months = self.fields.months
        year, month, day = moment.year, moment.month, moment.day
        if _has(months, month) and _has(self._days_of(year, month), day):
            clock = self._seek_clock(moment, forward)
            if clock:
                return datetime(year, month, day, *clock)
        day += step
        while MINYEAR <= year <= MAXYEAR:
            found = _seek(months, month, forward)
            if found is None:
                year, month, day = year + step, edge, edge
                continue
            if found != month:
                month, day = found, edge
            found = _seek(self._days_of(year, month), day, forward)
            if found is not None:
                return datetime(year, month, found, *self._outermost_clock(forward))
            month, day = month + step, edge
        return None

    def _seek_clock(self, moment: datetime, forward: bool) -> Clock | None:
        """The matching time of day at `moment`, else the nearest one in the given direction."""
        hours, minutes, seconds = self.fields.hours, self.fields.minutes, self.fields.seconds
        step = 1 if forward else -1
        if _has(hours, moment.hour):
            if _has(minutes, moment.minute):
                second = _seek(seconds, moment.second, forward)
                if second is not None:
                    return moment.hour, moment.minute, second
            minute = _seek(minutes, moment.minute + step, forward)
            if minute is not None:
                return moment.hour, minute, _outermost(seconds, forward)
        hour = _seek(hours, moment.hour + step, forward)
        return None if hour is None else (hour, *self._outermost_clock(forward)[1:])

    def _outermost_clock(self, forward: bool) -> Clock:
        """The first matching time of any day, or the last one."""
        fields = self.fields
        hour, minute, second = (
            _outermost(bits, forward) for bits in (fields.hours, fields.minutes, fields.seconds)
        )
        return hour, minute, second

    def _days_of(self, year: int, month: int) -> int:
        monday_based, length = monthrange(year, month)
        return days_of_month(self.fields, (monday_based + 1) % 7, length)


def _has(bits: int, number: int) -> bool:
    return bool(bits >> number & 1)


def _seek(bits: int, start: int, forward: bool) -> int | None:
    """The member of the set that is nearest to `start` in the given direction, `start` itself included."""
    left = bits >> start << start if forward else bits & ((1 << (start + 1)) - 1)
    return _outermost(left, forward) if left else None


def _outermost(bits: int, forward: bool) -> int:
    """The smallest member of a set that is not empty, or the largest."""
    return (bits & -bits if forward else bits).bit_length() - 1


def _require_naive(moment: datetime) -> None:
    if moment.tzinfo is not None:
        raise BadInput(f"{moment} has a time zone; a cron expression alone knows only wall-clock times")
