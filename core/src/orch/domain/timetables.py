"""Timetables: the pure rule from one tick to the next."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from orch.domain.cron import CronExpression, DstRule, next_tick, previous_tick
from orch.domain.dagspec import DagSpec

_INSTANT = timedelta(microseconds=1)


class Timetable(Protocol):
    """When runs are due. All moments are aware UTC; a tick lies within start and end date, both inclusive."""

    def first(self, now: datetime, last: datetime | None, *, catchup: bool) -> datetime | None:
        """Return the first tick of a new or changed schedule; `last` is the newest tick dealt with before."""

    def next_after(self, tick: datetime) -> datetime | None:
        """Return the first tick after `tick`."""

    def latest(self, now: datetime) -> datetime | None:
        """Return the last tick at or before `now`."""


@dataclass(frozen=True, slots=True)
class CronTimetable:
    """A tick whenever a cron expression matches the wall clock of a zone."""

    expression: CronExpression
    zone: ZoneInfo
    start: datetime | None = None
    end: datetime | None = None
    dst: DstRule = DstRule.VIXIE

    def first(self, now: datetime, last: datetime | None, *, catchup: bool) -> datetime | None:
        """Return the first tick after what was dealt with: from the start date with catch-up, else from now."""
        if not catchup or (last is None and self.start is None):
            return self.next_after(now)
        return self.next_after(last if last is not None else self._before_start(now))

    def next_after(self, tick: datetime) -> datetime | None:
        """Return the first tick after `tick`, None when the end date has passed."""
        after = max(tick, self._before_start(tick))
        found = next_tick(self.expression, after, self.zone, self.dst)
        return None if found is None or (self.end is not None and found > self.end) else found

    def latest(self, now: datetime) -> datetime | None:
        """Return the last tick at or before `now`, None when that is before the start date."""
        until = now if self.end is None else min(now, self.end)
        found = previous_tick(self.expression, until + _INSTANT, self.zone, self.dst)
        return None if found is None or (self.start is not None and found < self.start) else found

    def _before_start(self, otherwise: datetime) -> datetime:
        return otherwise if self.start is None else self.start - _INSTANT


@dataclass(frozen=True, slots=True)
class OnceTimetable:
    """One tick: the start date, or the moment the DAG is first seen."""

    start: datetime | None = None

    def first(self, now: datetime, last: datetime | None, *, catchup: bool) -> datetime | None:  # noqa: ARG002
        """Return the only tick unless it was dealt with."""
        return (self.start or now) if last is None else None

    def next_after(self, tick: datetime) -> datetime | None:  # noqa: ARG002
        """Return None: there is no second tick."""
        return None

    def latest(self, now: datetime) -> datetime | None:
        """Return the tick when it has come."""
        return self.start if self.start is not None and self.start <= now else None


@dataclass(frozen=True, slots=True)
class NeverTimetable:
    """No ticks: runs are made by hand."""

    def first(self, now: datetime, last: datetime | None, *, catchup: bool) -> datetime | None:  # noqa: ARG002
        """Return None."""
        return None

    def next_after(self, tick: datetime) -> datetime | None:  # noqa: ARG002
        """Return None."""
        return None

    def latest(self, now: datetime) -> datetime | None:  # noqa: ARG002
        """Return None."""
        return None


def timetable_of(spec: DagSpec) -> Timetable:
    """Return the timetable that a DAG's schedule names; raises CronError for a bad expression."""
    start, end = _utc(spec.start_date), _utc(spec.end_date)
    if spec.schedule is None:
        return NeverTimetable()
    if spec.schedule == "@once":
        return OnceTimetable(start)
    return CronTimetable(CronExpression.parse(spec.schedule), ZoneInfo(spec.timezone), start, end)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
