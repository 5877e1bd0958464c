"""Timetables within the dates of a DAG: from the start date to the end date, both inclusive, on the logical date."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orch.domain.timetables.timetable import (
    EARLIEST,
    Interval,
    PointTimetable,
    Timetable,
    TimetableError,
    just_before,
)

MOST_PASSED_OVER = 10_000
"""So many ticks in a row may lie outside of the dates of the DAG before the search is given up."""


class DagTimetable(Timetable, Protocol):
    """The timetable of one DAG, which knows where it begins as well."""

    @property
    def follows_end(self) -> bool:
        """Whether a run waits for the end of the one before instead of a time; then there are no ticks to list."""

    def first(self, now: datetime, last: datetime | None, *, catchup: bool) -> datetime | None:
        """Return the first tick of a new or changed schedule; `last` is the newest tick dealt with before."""


@dataclass(frozen=True, slots=True)
class BoundedTimetable:
    """The ticks of another timetable whose logical dates lie between `start` and `end`."""

    rule: Timetable
    start: datetime | None = None
    end: datetime | None = None
    follows_end: bool = False

    def first(self, now: datetime, last: datetime | None, *, catchup: bool) -> datetime | None:
        """Return the first tick after what was dealt with: from the start date with catch-up, else from now."""
        if not catchup or self.follows_end or (last is None and self.start is None):
            return self.next_after(now)
        return self.next_after(EARLIEST if last is None else last)

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first tick within the dates that is later than `moment`."""
        if self.start is None:
            return self._until_end(self.rule.next_after(moment))
        tick = self.rule.next_after(max(moment, just_before(self.start)))
        for _ in range(MOST_PASSED_OVER):
            if tick is None or self.rule.logical_date(tick) >= self.start:
                return self._until_end(tick)
            tick = self.rule.next_after(tick)
        raise TimetableError(
            f"more than {MOST_PASSED_OVER:,} ticks in a row have a logical date before start_date"
        )

    def latest(self, moment: datetime) -> datetime | None:
        """Return the last tick within the dates that is at or before `moment`."""
        tick = self._latest_until_end(moment)
        if tick is None or (self.start is not None and self.rule.logical_date(tick) < self.start):
            return None
        return tick

    def interval_of(self, tick: datetime) -> Interval:
        """Return the data interval of the run of this tick."""
        return self.rule.interval_of(tick)

    def logical_date(self, tick: datetime) -> datetime:
        """Return the logical date of the run of this tick."""
        return self.rule.logical_date(tick)

    def _until_end(self, tick: datetime | None) -> datetime | None:
        if tick is None or self.end is None or self.rule.logical_date(tick) <= self.end:
            return tick
        return None

    def _latest_until_end(self, moment: datetime) -> datetime | None:
        """The last tick up to `moment` with a logical date up to the end; a tick may be later than its date."""
        if self.end is None or moment <= self.end:
            return self.rule.latest(moment)
        found = self.rule.latest(self.end)
        for _ in range(MOST_PASSED_OVER):
            tick = self.rule.next_after(self.end if found is None else found)
            if tick is None or tick > moment or self.rule.logical_date(tick) > self.end:
                return found
            found = tick
        raise TimetableError(
            f"more than {MOST_PASSED_OVER:,} ticks after end_date have a logical date before it"
        )


@dataclass(frozen=True, slots=True)
class OnceTimetable(PointTimetable):
    """One tick: the start date, or the moment the DAG is first seen."""

    start: datetime | None = None
    end: datetime | None = None
    follows_end: bool = False

    def first(self, now: datetime, last: datetime | None, *, catchup: bool) -> datetime | None:  # noqa: ARG002
        """Return the only tick unless it was dealt with; catch-up makes no difference."""
        tick = self.start or now
        return None if last is not None or (self.end is not None and tick > self.end) else tick

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the start date when it is later."""
        return self.start if self.start is not None and self.start > moment else None

    def latest(self, moment: datetime) -> datetime | None:
        """Return the start date when it has come."""
        return self.start if self.start is not None and self.start <= moment else None


@dataclass(frozen=True, slots=True)
class NeverTimetable(PointTimetable):
    """No ticks: runs are made by hand."""

    follows_end: bool = False

    def first(self, now: datetime, last: datetime | None, *, catchup: bool) -> datetime | None:  # noqa: ARG002
        """Return None."""
        return None

    def next_after(self, moment: datetime) -> datetime | None:  # noqa: ARG002
        """Return None."""
        return None

    def latest(self, moment: datetime) -> datetime | None:  # noqa: ARG002
        """Return None."""
        return None
