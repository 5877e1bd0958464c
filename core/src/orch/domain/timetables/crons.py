"""Timetables of cron expressions: a tick whenever the wall clock of a zone matches."""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from orch.domain.cron import CronExpression, DstRule, next_tick, previous_tick
from orch.domain.timetables.timetable import Interval, PointTimetable, just_after


@dataclass(frozen=True, slots=True)
class CronTimetable(PointTimetable):
    """A run for each point in time that an expression matches."""

    expression: CronExpression
    zone: tzinfo = UTC
    dst: DstRule = DstRule.VIXIE

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first match later than `moment`."""
        return next_tick(self.expression, moment, self.zone, self.dst)

    def latest(self, moment: datetime) -> datetime | None:
        """Return the last match at or before `moment`."""
        return previous_tick(self.expression, just_after(moment), self.zone, self.dst)


@dataclass(frozen=True, slots=True)
class CronIntervalTimetable:
    """A run for each span between two matches, due at its end."""

    cron: CronTimetable

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the end of the interval that `moment` lies in."""
        return self.cron.next_after(moment)

    def latest(self, moment: datetime) -> datetime | None:
        """Return the end of the last interval that is over at `moment`."""
        return self.cron.latest(moment)

    def interval_of(self, tick: datetime) -> Interval:
        """Return the span from the match before the tick to the tick."""
        cron = self.cron
        return previous_tick(cron.expression, tick, cron.zone, cron.dst) or tick, tick

    def logical_date(self, tick: datetime) -> datetime:
        """Return the start of the interval."""
        return self.interval_of(tick)[0]


@dataclass(frozen=True, slots=True)
class SeveralCronsTimetable(PointTimetable):
    """A run for each point in time that any of several expressions matches; one where they coincide."""

    crons: tuple[CronTimetable, ...]

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first match of any of them later than `moment`."""
        return min(filter(None, (cron.next_after(moment) for cron in self.crons)), default=None)

    def latest(self, moment: datetime) -> datetime | None:
        """Return the last match of any of them at or before `moment`."""
        return max(filter(None, (cron.latest(moment) for cron in self.crons)), default=None)
