"""Ticks that are due: what a schedule owes now, which catch-up decides, and what comes after."""

from dataclasses import dataclass
from datetime import datetime

from orch.domain.timetables import DagTimetable


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a schedule stands."""

    last: datetime | None
    """The newest tick that has its run or was passed over on purpose."""
    following: datetime | None
    """The tick after it; None when nothing is to come, or when `is_new`."""
    is_new: bool = False
    """A new or changed schedule, whose first tick is not computed yet."""


@dataclass(frozen=True, slots=True)
class DueTicks:
    """The ticks to make runs of, oldest first, and the tick after them."""

    ticks: tuple[datetime, ...]
    following: datetime | None


def due_ticks(
    timetable: DagTimetable, cursor: Cursor, now: datetime, *, catchup: bool, most: int
) -> DueTicks:
    """Return at most `most` ticks up to `now`; without catch-up only the latest missed one is made up for.

    A new schedule starts at the start date when it catches up, and now when it does not. Schedules without a
    past, `@once` and `@continuous`, have nothing to catch up with.
    """
    catchup = catchup and not timetable.follows_end
    tick = timetable.first(now, cursor.last, catchup=catchup) if cursor.is_new else cursor.following
    if not catchup and tick is not None and tick <= now:
        tick = timetable.latest(now) or tick
    ticks: list[datetime] = []
    while tick is not None and tick <= now and len(ticks) < most:
        ticks.append(tick)
        tick = timetable.next_after(tick)
    return DueTicks(tuple(ticks), tick)
