"""Cron: the instants at which an expression ticks in a time zone, clock changes included."""

from dataclasses import dataclass
from datetime import MINYEAR, UTC, datetime, timedelta, tzinfo

from orch.domain.cron_expression import CronExpression
from orch.domain.cron_text import CronError
from orch.domain.cron_zone import LAST, NEAR, ONE_SECOND, ZoneClock
from orch.domain.dst import DstRule
from orch.errors import BadInput

__all__ = ["CronError", "CronExpression", "DstRule", "makes_up", "next_tick", "previous_tick", "repeats"]


def next_tick(
    expression: CronExpression, after: datetime, zone: tzinfo, dst: DstRule = DstRule.VIXIE
) -> datetime | None:
    """Return the first tick later than the aware time `after`, in UTC.

    None when there is none in the years 1 to 9999, as both UTC and the wall count them.
    """
    try:
        tick = _Ticks.of(expression, zone, dst).after(_naive_utc(after))
    except OverflowError:
        return None
    return tick and tick.replace(tzinfo=UTC)


def previous_tick(
    expression: CronExpression, before: datetime, zone: tzinfo, dst: DstRule = DstRule.VIXIE
) -> datetime | None:
    """Return the last tick earlier than the aware time `before`, in UTC.

    None when there is none in the years 1 to 9999, as both UTC and the wall count them.
    """
    try:
        tick = _Ticks.of(expression, zone, dst).before(_naive_utc(before))
    except OverflowError:
        return None
    return tick and tick.replace(tzinfo=UTC)


def makes_up(expression: CronExpression, dst: DstRule) -> bool:
    """Return whether times that the clock skips tick at the first instant after the gap."""
    return dst is not DstRule.SKIP and not repeats(expression, dst)


def repeats(expression: CronExpression, dst: DstRule) -> bool:
    """Return whether times that the clock shows again tick again."""
    return expression.is_wildcard if dst is DstRule.VIXIE else dst is DstRule.TWICE


@dataclass(frozen=True, slots=True)
class _Ticks:
    """The ticks as naive datetimes in UTC.

    While the offset stays the same, a tick is a wall-clock match less the offset. So a search goes from one
    change of offset to the next, as long as a match is near; when it is far, nothing between can be a tick,
    and the search goes on close to it.
    """

    expression: CronExpression
    clock: ZoneClock
    makes_up: bool
    repeats: bool

    @classmethod
    def of(cls, expression: CronExpression, zone: tzinfo, dst: DstRule) -> "_Ticks":
        return cls(expression, ZoneClock(zone), makes_up(expression, dst), repeats(expression, dst))

    def after(self, moment: datetime) -> datetime | None:
        at = self.clock.nearest_shown(moment.replace(microsecond=0))
        offset = self.clock.offset(at)
        while True:
            wall = self.expression.next_after(at + offset)
            if wall is None:
                return None
            tick = wall - offset
            change = self.clock.first_change(at, offset, at + min(tick - at, NEAR))
            if change:
                before, offset = offset, self.clock.offset(change)
                if self._is_made_up_for(change, before, offset):
                    return change
                at = change - ONE_SECOND
            elif tick - at > NEAR:
                at = tick - NEAR
                offset = self.clock.offset(at)
            elif self._is_unwanted(tick):
                at = tick
            else:
                return tick

    def before(self, moment: datetime) -> datetime | None:
        at = self.clock.nearest_shown(_whole_second_from(moment))
        offset = self.clock.offset(at - ONE_SECOND)
        while True:
            wall = self.expression.previous_before(at + offset)
            if wall is None:
                return None
            tick = wall - offset
            change = self.clock.last_change(at, offset, at - min(at - tick, NEAR))
            if change:
                after, offset = offset, self.clock.offset(change - ONE_SECOND)
                if self._is_made_up_for(change, offset, after):
                    return change
                at = change
            elif at - tick > NEAR:
                at = tick + NEAR
                offset = self.clock.offset(at - ONE_SECOND)
            elif self._is_unwanted(tick):
                at = tick
                offset = self.clock.offset(at - ONE_SECOND)
            else:
                return tick

    def _is_made_up_for(self, change: datetime, before: timedelta, after: timedelta) -> bool:
        """Whether the change of offset skips a match that ticks right after the gap."""
        if not self.makes_up:
            return False
        skipped = self.expression.next_after(change + before - ONE_SECOND)
        return skipped is not None and skipped < change + after

    def _is_unwanted(self, tick: datetime) -> bool:
        return not self.repeats and self.clock.is_repeated(tick)


def _naive_utc(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise BadInput(f"{moment} has no time zone; ticks are searched from an aware time")
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:  # the wall shows a year that UTC has not reached yet, or has left
        return datetime.min if moment.year == MINYEAR else LAST


def _whole_second_from(moment: datetime) -> datetime:
    floor = moment.replace(microsecond=0)
    return floor if floor in (moment, LAST) else floor + ONE_SECOND
