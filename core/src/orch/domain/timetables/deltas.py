"""Timetables of a rhythm: a tick each time a span of elapsed time is over, whatever clocks on walls do."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orch.domain.timetables.timetable import Interval, PointTimetable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Where a rhythm is counted from when nothing else is given."""

SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class DeltaTimetable(PointTimetable):
    """A run for each point in time that is a multiple of `delta` away from the anchor, before it and after it."""

    delta: timedelta
    anchor: datetime = EPOCH

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first of these points later than `moment`."""
        return self._point((moment - self.anchor) // self.delta + 1)

    def latest(self, moment: datetime) -> datetime | None:
        """Return the last of these points at or before `moment`."""
        return self._point((moment - self.anchor) // self.delta)

    def _point(self, number: int) -> datetime | None:
        try:
            return self.anchor + number * self.delta
        except OverflowError:  # beyond the years 1 to 9999
            return None


@dataclass(frozen=True, slots=True)
class DeltaIntervalTimetable:
    """A run for each span between two of these points, due at its end."""

    points: DeltaTimetable

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the end of the span that `moment` lies in."""
        return self.points.next_after(moment)

    def latest(self, moment: datetime) -> datetime | None:
        """Return the end of the last span that is over at `moment`."""
        return self.points.latest(moment)

    def interval_of(self, tick: datetime) -> Interval:
        """Return the span that ends with the tick."""
        return self.logical_date(tick), tick

    def logical_date(self, tick: datetime) -> datetime:
        """Return the start of the span."""
        try:
            return tick - self.points.delta
        except OverflowError:  # the first span of the calendar is cut
            return tick
