"""A cron expression and the wall-clock times it matches; no time zone is known here.

The next match is found field by field, from the year down to the second, on sets stored as the bits of
integers. However far away it is, the cost is that of walking the years to it.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime, timedelta

from orch.domain.cron_text import CronError, CronFields, read_fields
from orch.domain.cron_words import describe
from orch.errors import BadInput

ONE_SECOND = timedelta(seconds=1)
LOWEST, HIGHEST = 0, 63  # beyond every number that a field can hold
EVERY_WEEK = sum(1 << 7 * week for week in range(5))
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
            _days(fields, first, length)
            for month in range(1, 13)
            if _has(fields.months, month)
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
            clock = self._seek_clock((moment.hour, moment.minute, moment.second), forward)
            if clock:
                return datetime(year, month, day, *clock)
        day += step
        while MINYEAR <= year <= MAXYEAR:
            nearest_month = _pick(months, month, forward)
            if nearest_month is None:
                year, month, day = year + step, edge, edge
                continue
            if nearest_month != month:
                month, day = nearest_month, edge
            nearest_day = _pick(self._days_of(year, month), day, forward)
            if nearest_day is not None:
                clock = self._seek_clock((edge, edge, edge), forward)
                return datetime(year, month, nearest_day, *clock) if clock else None
            month, day = month + step, edge
        return None

    def _seek_clock(self, clock: Clock, forward: bool) -> Clock | None:
        """The match at `clock`, else the nearest one in the given direction on the same day.

        As many leading numbers as possible are kept; the next one moves, and those after it start afresh.
        """
        sets = (self.fields.hours, self.fields.minutes, self.fields.seconds)
        step, edge = (1, LOWEST) if forward else (-1, HIGHEST)
        for kept in (3, 2, 1, 0):
            if not all(map(_has, sets[:kept], clock)):
                continue
            found = list(clock[:kept])
            if kept < 3:
                found.append(_pick(sets[kept], clock[kept] + step, forward))
            ...
        return None

    def _days_of(self, year: int, month: int) -> int:
        first, length = monthrange(year, month)
        return _days(self.fields, (first + 1) % 7, length)
