"""Preview of a schedule: the runs to come, and what changes of the clock do to them."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, repeat
from typing import NamedTuple, overload

from orch.domain.cron import CronExpression, DstRule, makes_up, repeats
from orch.domain.cron_zone import NEAR, ONE_SECOND, ZoneClock
from orch.domain.tick_spans import ticks_between
from orch.domain.timetables import BoundedTimetable, PointTimetable, Timetable
from orch.domain.timetables.crons import CronIntervalTimetable, CronTimetable, SeveralCronsTimetable
from orch.domain.timetables.timetable import LATEST

SHIFTED = "for a time that the clock skips"
AGAIN = "the clock shows this time again"
ALSO_SHIFTED = "also for a time that the clock skips"
SKIPPED_TIME = "the clock skips it"
SECOND_TIME = "the clock shows it again"

MOST_SEARCHED = 1000
"""For so few runs to come each is searched: they may be centuries apart."""


class PlannedRun(NamedTuple):
    """A run to come. All moments are aware UTC."""

    tick: datetime
    logical_date: datetime
    interval_start: datetime
    interval_end: datetime
    """Of a point in time, start and end are the same."""
    run_after: datetime
    mark: str | None
    """What a change of the clock has to do with it."""


@dataclass(frozen=True, slots=True)
class WithoutRun:
    """Times on the wall that the schedule names and that make no run, because of a change of the clock."""

    changed_at: datetime
    """Aware UTC: when the clock is changed."""
    first: datetime
    """The first such time, naive."""
    last: datetime
    why: str


class PlannedRuns(Sequence[PlannedRun]):
    """Runs in order, kept as columns: for ten years of hours far less than an object each."""

    def __init__(self, columns: tuple[list[datetime], ...]) -> None:
        """Take ticks, logical dates, starts and ends of intervals, and times of runs."""
        self._columns = columns
        self._marks: dict[int, str] = {}

    def mark(self, index: int, mark: str) -> None:
        """Say what a change of the clock has to do with a run."""
        self._marks[index] = mark

    def __len__(self) -> int:
        return len(self._columns[0])

    @overload
    def __getitem__(self, index: int) -> PlannedRun: ...

    @overload
    def __getitem__(self, index: slice) -> list[PlannedRun]: ...

    def __getitem__(self, index: int | slice) -> PlannedRun | list[PlannedRun]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        return PlannedRun._make([*(column[place] for column in self._columns), self._marks.get(place)])

    def __iter__(self) -> Iterator[PlannedRun]:
        marks = map(self._marks.get, range(len(self))) if self._marks else repeat(None)
        return map(PlannedRun._make, zip(*self._columns, marks, strict=False))


@dataclass(frozen=True, slots=True)
class Preview:
    """What a schedule makes of a stretch of time."""

    runs: Sequence[PlannedRun]
    without_run: list[WithoutRun]


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is asked for: logical dates from `first` to `last`, both inclusive, and at most so many runs."""

    first: datetime
    last: datetime | None
    most: int


def preview(
    timetable: Timetable, zone: tzinfo, stretch: Stretch, jitter: timedelta = timedelta(0)
) -> Preview:
    """Return the runs in a stretch of time, in order; `jitter` is how much later than their ticks they may begin."""
    ticks = list(islice(_ticks(timetable, stretch), stretch.most))
    runs = _runs(timetable, ticks, jitter)
    until = stretch.last
    if until is None or len(ticks) == stretch.most:
        until = ticks[-1] if ticks else stretch.first
    crons = _crons(timetable)
    without: list[WithoutRun] = []
    begin = min(stretch.first, ticks[0]) if ticks else stretch.first
    for change in _changes(zone, begin, until):
        _mark_shifted(runs, ticks, crons, change)
        _mark_repeated(runs, ticks, change)
        without += _without_run(crons, change)
    return Preview(runs, without)


def _ticks(timetable: Timetable, stretch: Stretch) -> Iterator[datetime]:
    if stretch.last is not None or stretch.most > MOST_SEARCHED:
        return ticks_between(timetable, stretch.first, stretch.last or LATEST)
    return _searched(timetable, stretch.first)


def _searched(timetable: Timetable, first: datetime) -> Iterator[datetime]:
    tick = timetable.next_after(first - timedelta(microseconds=1))
    while tick is not None:
        if timetable.logical_date(tick) >= first:
            yield tick
        tick = timetable.next_after(tick)


def _runs(timetable: Timetable, ticks: list[datetime], jitter: timedelta) -> PlannedRuns:
    begins = [tick + jitter for tick in ticks] if jitter else ticks
    return PlannedRuns((ticks, *_intervals(timetable, ticks), begins))


def _intervals(timetable: Timetable, ticks: list[datetime]) -> tuple[list[datetime], ...]:
    """Return logical dates, starts and ends of intervals; those of ticks that follow each other need no search."""
    rule = timetable.rule if isinstance(timetable, BoundedTimetable) else timetable
    if isinstance(rule, PointTimetable) or not ticks:
        return ticks, ticks, ticks
    if isinstance(rule, CronIntervalTimetable):
        starts = [rule.logical_date(ticks[0]), *ticks[:-1]]
        return starts, starts, ticks
    intervals = [timetable.interval_of(tick) for tick in ticks]
    dates = [timetable.logical_date(tick) for tick in ticks]
    return dates, [start for start, _ in intervals], [end for _, end in intervals]


# Clock changes


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of the offset of a zone; naive UTC."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def is_forward(self) -> bool:
        return self.after > self.before

    @property
    def walls(self) -> tuple[datetime, datetime]:
        """The times on the wall that are skipped or shown again: the first one, and the one behind the last."""
        return self.at + min(self.before, self.after), self.at + max(self.before, self.after)


@dataclass(frozen=True, slots=True)
class _Cron:
    expression: CronExpression
    dst: DstRule

    def within(self, walls: tuple[datetime, datetime]) -> tuple[datetime, datetime] | None:
        """Return the first and the last match among these times."""
        first = self.expression.next_after(walls[0] - ONE_SECOND)
        last = self.expression.previous_before(walls[1])
        return None if first is None or last is None or first >= walls[1] else (first, last)


def _crons(timetable: Timetable) -> list[_Cron]:
    rule = timetable.rule if isinstance(timetable, BoundedTimetable) else timetable
    if isinstance(rule, CronIntervalTimetable):
        rule = rule.cron
    crons = rule.crons if isinstance(rule, SeveralCronsTimetable) else (rule,)
    return [_Cron(cron.expression, cron.dst) for cron in crons if isinstance(cron, CronTimetable)]


def _changes(zone: tzinfo, first: datetime, last: datetime) -> Iterator[_Change]:
    clock = ZoneClock(zone)
    at, end = (clock.nearest_shown(moment.astimezone(UTC).replace(tzinfo=None)) for moment in (first, last))
    at = clock.nearest_shown(max(at, datetime.min + NEAR) - ONE_SECOND)
    before = clock.offset(at)
    while at < end:
        until = min(end, at + NEAR) if end - at > NEAR else end
        change = clock.first_change(at, before, until)
        if change is not None:
            yield _Change(change, before, before := clock.offset(change))
        at = until


def _mark_shifted(runs: PlannedRuns, ticks: list[datetime], crons: list[_Cron], change: _Change) -> None:
    """Mark the run that makes up for what a clock put forward has skipped; it is due at the change itself."""
    made_up = (cron for cron in crons if makes_up(cron.expression, cron.dst))
    if not change.is_forward or not any(cron.within(change.walls) for cron in made_up):
        return
    for index in _places(ticks, change.at, change.at + ONE_SECOND):
        is_match = any(cron.expression.matches(change.walls[1]) for cron in crons)
        runs.mark(index, ALSO_SHIFTED if is_match else SHIFTED)


def _mark_repeated(runs: PlannedRuns, ticks: list[datetime], change: _Change) -> None:
    if not change.is_forward:
        for index in _places(ticks, change.at, change.at + (change.before - change.after)):
            runs.mark(index, AGAIN)


def _places(ticks: list[datetime], begin: datetime, end: datetime) -> Iterable[int]:
    """Return the indexes of the ticks from one instant to before another one."""
    return range(*(bisect_left(ticks, moment.replace(tzinfo=UTC)) for moment in (begin, end)))


def _without_run(crons: list[_Cron], change: _Change) -> Iterator[WithoutRun]:
    lost = makes_up if change.is_forward else repeats
    why = SKIPPED_TIME if change.is_forward else SECOND_TIME
    for cron in crons:
        if not lost(cron.expression, cron.dst) and (found := cron.within(change.walls)):
            yield WithoutRun(change.at.replace(tzinfo=UTC), *found, why)
