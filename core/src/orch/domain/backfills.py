"""Backfills: runs of dates in the past. Which dates a span has, and which of them get a run."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from orch.domain.dagspec import DagSpec
from orch.domain.states import RUN_TERMINAL, RunState
from orch.domain.tick_spans import ticks_between
from orch.domain.timetables import Timetable, follows_end
from orch.domain.timetables.timetable import ONCE

MOST_DATES = 100_000
"""Dates of one backfill."""

_INSTANT = timedelta(microseconds=1)


class Reprocess(StrEnum):
    """Which dates that have runs already get another one."""

    NONE = "none"
    FAILED = "failed"
    """Those whose newest run has failed or was cancelled."""
    COMPLETED = "completed"
    """Those whose newest run has ended, in whatever state."""


class BackfillState(StrEnum):
    """Where one backfill is in its life."""

    RUNNING = "running"
    PAUSED = "paused"
    """It makes and starts no run; those that have started go on."""
    COMPLETED = "completed"
    """All its dates are dealt with and all its runs have ended, in whatever state."""
    CANCELLED = "cancelled"
    """It makes and starts no run any more."""


BACKFILL_ENDED = frozenset({BackfillState.COMPLETED, BackfillState.CANCELLED})


class Outcome(StrEnum):
    """What became of one date when its turn came."""

    CREATED = "created"
    RUN_EXISTS = "run_exists"
    RUN_OPEN = "run_open"
    RUN_SUCCEEDED = "run_succeeded"


OUTCOME_WORDS = {
    Outcome.CREATED: "gets a run",
    Outcome.RUN_EXISTS: "has a run",
    Outcome.RUN_OPEN: "its newest run has not ended",
    Outcome.RUN_SUCCEEDED: "its newest run has succeeded",
}
"""Outcome -> what it says of a date, for people."""


@dataclass(frozen=True, slots=True)
class BackfillDate:
    """One date of a schedule: what a run of it stands for."""

    logical_date: datetime
    interval: tuple[datetime, datetime]


def outcome_of(reprocess: Reprocess, newest: RunState | None) -> Outcome:
    """Decide on a date by the state of its newest run, None when it has none; an open run is never doubled."""
    if newest is None:
        return Outcome.CREATED
    if newest not in RUN_TERMINAL:
        return Outcome.RUN_OPEN
    if reprocess is Reprocess.NONE:
        return Outcome.RUN_EXISTS
    if reprocess is Reprocess.FAILED and newest is RunState.SUCCESS:
        return Outcome.RUN_SUCCEEDED
    return Outcome.CREATED


def dates_between(
    timetable: Timetable, first: datetime, last: datetime, now: datetime, *, backwards: bool = False
) -> Iterator[BackfillDate]:
    """Yield the dates from `first` to `last`, both included, whose ticks have come by `now`."""
    until = min(last, now)  # a logical date is never later than its tick
    for tick in ticks_between(timetable, first, until, backwards=backwards):
        if tick <= now:
            yield _date_of(timetable, tick)


def remaining_dates(
    timetable: Timetable,
    span: tuple[datetime, datetime],
    position: datetime | None,
    *,
    backwards: bool,
) -> Iterator[BackfillDate]:
    """Yield the dates of a span that come after `position` in the order of the backfill; all when it is None.

    The span is from the first to the last date that a backfill was made of. All of them had come then, so the
    present has no say: a clock that was put back takes none away.
    """
    first, last = span
    if position is not None and backwards:
        last = position - _INSTANT
    elif position is not None:
        first = position + _INSTANT
    for tick in ticks_between(timetable, first, last, backwards=backwards):
        yield _date_of(timetable, tick)


def _date_of(timetable: Timetable, tick: datetime) -> BackfillDate:
    return BackfillDate(timetable.logical_date(tick), timetable.interval_of(tick))


def first_moment(bound: date | datetime, zone: tzinfo) -> datetime:
    """Return in UTC where a span begins: at this moment, on the clock of `zone` if it has none; a day's first one."""
    moment = bound if isinstance(bound, datetime) else datetime.combine(bound, time())
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).astimezone(UTC)


def last_moment(bound: date | datetime, zone: tzinfo) -> datetime:
    """Return in UTC where a span ends: at this moment, on the clock of `zone` if it has none; a day's last one."""
    if isinstance(bound, datetime):
        return first_moment(bound, zone)
    return first_moment(bound + timedelta(days=1), zone) - _INSTANT


def without_dates(spec: DagSpec) -> str | None:
    """Return what a schedule is that has no dates to go back to; None for one that has."""
    if spec.schedule is None and spec.timetable is None:
        return "no schedule"
    return f"the schedule {spec.schedule}" if spec.schedule == ONCE or follows_end(spec) else None


def needing_the_run_before(spec: DagSpec) -> str | None:
    """Return a task that needs the run before its own, which a backfill that goes backwards makes later."""
    return next((t.task_id for t in spec.tasks if t.depends_on_past or t.wait_for_downstream), None)
