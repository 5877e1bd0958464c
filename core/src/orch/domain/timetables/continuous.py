"""The continuous timetable: the next run begins when the one before has ended."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from orch.domain.timetables.timetable import PointTimetable

REST = timedelta(seconds=1)
"""Between the making of two runs there is at least so much time."""


@dataclass(frozen=True, slots=True)
class ContinuousTimetable(PointTimetable):
    """Any moment is a good one, a second after the last. That no run is open is for the scheduler to see.

    There are no ticks to list or to make up for: which ones it has had shows in the runs.
    """

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the earliest moment for a run after one at `moment`."""
        try:
            return moment + REST
        except OverflowError:
            return None

    def latest(self, moment: datetime) -> datetime | None:
        """Return `moment`: what could have begun earlier begins now."""
        return moment
