"""The timetable of explicit dates."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime

from orch.domain.timetables.timetable import PointTimetable

MOST_DATES = 10_000


@dataclass(frozen=True, slots=True)
class DatesTimetable(PointTimetable):
    """A run for each of these dates, which are sorted, distinct and aware UTC."""

    dates: tuple[datetime, ...]

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first date later than `moment`."""
        place = bisect_right(self.dates, moment)
        return self.dates[place] if place < len(self.dates) else None

    def latest(self, moment: datetime) -> datetime | None:
        """Return the last date at or before `moment`."""
        place = bisect_right(self.dates, moment)
        return self.dates[place - 1] if place else None
