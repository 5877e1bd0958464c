"""A time zone as a search sees it: an offset that holds for a while, and the instants at which it changes.

Instants are naive datetimes in UTC here, in whole seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta, tzinfo

ONE_SECOND = timedelta(seconds=1)

LAST = datetime.max.replace(microsecond=0)
"""The last whole second of the calendar."""

NEAR = timedelta(days=2)
"""A stretch of time that holds at most one change of offset and is longer than any change.

In the tz database no two changes of a zone are less than three days apart, and no two offsets of a zone
differ by more than 26 hours.
"""


@dataclass(frozen=True, slots=True)
class ZoneClock:
    """The offset of a zone from UTC over time."""

    zone: tzinfo

    def offset(self, at: datetime) -> timedelta:
        """What to add to an instant to get the time on the wall."""
        return self._wall(at).replace(tzinfo=None) - at

    def nearest_shown(self, at: datetime) -> datetime:
        """The instant itself, or the nearest one at which the wall shows a year from 1 to 9999."""
        if MINYEAR < at.year < MAXYEAR:
            return at
        try:
            self._wall(at)
        except OverflowError:
            if at.year == MINYEAR:
                return datetime.min - self.offset(datetime.min + NEAR)
            return LAST - self.offset(LAST - NEAR)
        return at

    def first_change(self, at: datetime, offset: timedelta, until: datetime) -> datetime | None:
        """The first instant after `at`, up to `until`, without the `offset` that holds just after `at`."""
        if self.offset(until) == offset:
            return None
        return _first(at, until, lambda instant: self.offset(instant) != offset)

    def last_change(self, at: datetime, offset: timedelta, since: datetime) -> datetime | None:
        """The instant after `since` that brought the `offset` which holds just before `at`."""
        if self.offset(since) == offset:
            return None
        return _first(since, at - ONE_SECOND, lambda instant: self.offset(instant) == offset)

    def is_repeated(self, at: datetime) -> bool:
        """Whether the wall shows a time for the second time, the clock having been put back."""
        return self._wall(at).fold == 1

    def _wall(self, at: datetime) -> datetime:
        return at.replace(tzinfo=UTC).astimezone(self.zone)


def _first(before: datetime, end: datetime, holds: Callable[[datetime], bool]) -> datetime:
    """The first instant at which something holds that does not yet `before`, and does from then to `end`."""
    while end - before > ONE_SECOND:
        middle = before + timedelta(seconds=(end - before) // ONE_SECOND // 2)
        if holds(middle):
            end = middle
        else:
            before = middle
    return end
