"""Many ticks of a cron expression at once: whole days by addition, what is close to a clock change one by one.

While the offset of a zone stays the same, a tick is a match on the wall less the offset. Only right after a change
there is more to it: a tick may make up for skipped times, or be for a time that the wall shows again.
"""

from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

from orch.domain.cron import CronExpression, DstRule, next_tick
from orch.domain.cron_days import days_of_month, members
from orch.domain.cron_zone import NEAR, ONE_SECOND, ZoneClock

ONE_DAY = timedelta(days=1)
LONGEST = 16 * NEAR
"""So much is looked at together: who asks for a few ticks of thousands of years does not wait for the rest."""
FIRST_YEAR, LAST_YEAR = 2, 9998
"""Outside of these years ticks are searched one by one: a wall may show a year that there is not."""


def bulk_ticks(
    expression: CronExpression, zone: tzinfo, dst: DstRule, first: datetime, last: datetime
) -> Iterator[list[datetime]]:
    """Yield lists of the ticks from `first` to `last`, aware and both inclusive: those of `next_tick`, in order."""
    days = _Days.of(expression)
    for begin, end, offset in _stretches(ZoneClock(zone), _ceiling(first), _floor(last)):
        if offset is None:
            yield _one_by_one(expression, zone, dst, begin, end)
        else:
            yield from days.ticks(begin, end, offset)


_Stretch = tuple[datetime, datetime, timedelta | None]
"""Two instants in naive UTC, both inclusive, and the offset when every match between them is a tick."""


def _stretches(clock: ZoneClock, first: datetime, last: datetime) -> Iterator[_Stretch]:
    at = first
    while at <= last:
        stretch = _stretch(clock, at, min(last, at + LONGEST) if at.year <= LAST_YEAR else last)
        yield stretch
        if stretch[1] >= last:
            return
        at = stretch[1] + ONE_SECOND


def _stretch(clock: ZoneClock, at: datetime, last: datetime) -> _Stretch:
    """Return the stretch that begins at an instant: up to the next change, or while the last one still matters."""
    if not (at.year >= FIRST_YEAR and last.year <= LAST_YEAR):
        return at, last, None
    offset = clock.offset(at)
    changed = clock.last_change(at + ONE_SECOND, offset, at - NEAR)
    if changed is not None:
        settled = changed + abs(offset - clock.offset(changed - ONE_SECOND))
        if at <= settled:
            return at, min(last, settled), None
    end = at
    while end < last:
        step = min(last, end + NEAR)
        change = clock.first_change(end, offset, step)
        if change is not None:
            return at, change - ONE_SECOND, offset
        end = step
    return at, last, offset


@dataclass(slots=True)
class _Days:
    """The matches of an expression by day: which days, and which times of each."""

    expression: CronExpression
    times: list[timedelta]
    _months: dict[tuple[int, int], int] = field(default_factory=dict)

    @classmethod
    def of(cls, expression: CronExpression) -> "_Days":
        fields = expression.fields
        minutes, seconds = list(members(fields.minutes)), list(members(fields.seconds))
        return cls(
            expression,
            [
                timedelta(hours=hour, minutes=minute, seconds=second)
                for hour in members(fields.hours)
                for minute in minutes
                for second in seconds
            ],
        )

    def ticks(self, begin: datetime, end: datetime, offset: timedelta) -> Iterator[list[datetime]]:
        """Yield for each day its matches less the offset, from one instant to another."""
        first, last = begin + offset, end + offset
        midnight = first.replace(hour=0, minute=0, second=0)
        while midnight <= last:
            if self._matches(midnight):
                times = self.times
                if midnight < first or last - midnight < ONE_DAY:
                    times = times[bisect_left(times, first - midnight) : bisect_right(times, last - midnight)]
                base = (midnight - offset).replace(tzinfo=UTC)
                yield [base + time for time in times]
            midnight += ONE_DAY

    def _matches(self, day: datetime) -> bool:
        month = day.year, day.month
        bits = self._months.get(month)
        if bits is None:
            bits = self._months[month] = self._days_of(*month)
        return bool(bits >> day.day & 1)

    def _days_of(self, year: int, month: int) -> int:
        if not self.expression.fields.months >> month & 1:
            return 0
        monday_based, length = monthrange(year, month)
        return days_of_month(self.expression.fields, (monday_based + 1) % 7, length)


def _one_by_one(
    expression: CronExpression, zone: tzinfo, dst: DstRule, begin: datetime, end: datetime
) -> list[datetime]:
    after, last = begin.replace(tzinfo=UTC), end.replace(tzinfo=UTC)
    found: list[datetime] = []
    tick = next_tick(expression, after - ONE_SECOND if begin > datetime.min else after, zone, dst)
    while tick is not None and tick <= last:
        found.append(tick)
        tick = next_tick(expression, tick, zone, dst)
    return found


def _floor(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None)


def _ceiling(moment: datetime) -> datetime:
    floor = _floor(moment)
    return floor + ONE_SECOND if moment.microsecond and floor < datetime.max - ONE_SECOND else floor
