"""Spans of ticks: all ticks of a timetable whose logical dates lie in a span, in either order."""

import heapq
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, groupby

from orch.domain.cron_bulk import bulk_ticks
from orch.domain.timetables import BoundedTimetable, Timetable
from orch.domain.timetables.crons import CronIntervalTimetable, CronTimetable, SeveralCronsTimetable
from orch.domain.timetables.timetable import just_before

FIRST_WINDOW, LONGEST_WINDOW = timedelta(days=32), timedelta(days=4096)
"""Backwards, so much time is enumerated forwards and turned round; longer and longer when there are few ticks."""

BEGINNING = datetime(2, 1, 1, tzinfo=UTC)
"""In its first days the calendar cuts intervals; no enumeration from there is worth being fast."""


def ticks_between(
    timetable: Timetable, first_logical: datetime, last_logical: datetime, *, backwards: bool = False
) -> Iterator[datetime]:
    """Yield the ticks whose logical dates are from `first_logical` to `last_logical`, both inclusive.

    In order, or latest first. The timetable gives the logical date and the data interval of each. A schedule that
    follows the end of its runs has no ticks to list.
    """
    rule, first, last = timetable, first_logical, last_logical
    if isinstance(timetable, BoundedTimetable):
        if timetable.follows_end:
            return iter(())
        rule = timetable.rule
        first = first if timetable.start is None else max(first, timetable.start)
        last = last if timetable.end is None else min(last, timetable.end)
    if first < BEGINNING or not isinstance(
        rule, CronTimetable | CronIntervalTimetable | SeveralCronsTimetable
    ):
        return _searched(timetable, first, last, backwards=backwards)
    return _backwards(rule, first, last) if backwards else _forwards(rule, first, last)


def _forwards(
    rule: CronTimetable | CronIntervalTimetable | SeveralCronsTimetable, first: datetime, last: datetime
) -> Iterator[datetime]:
    if isinstance(rule, CronTimetable):
        return _of_cron(rule, first, last)
    if isinstance(rule, SeveralCronsTimetable):
        merged = heapq.merge(*(_of_cron(cron, first, last) for cron in rule.crons))
        return (tick for tick, _ in groupby(merged))
    return _ends(rule.cron, first, last)


def _of_cron(cron: CronTimetable, first: datetime, last: datetime) -> Iterator[datetime]:
    return chain.from_iterable(bulk_ticks(cron.expression, cron.zone, cron.dst, first, last))


def _ends(cron: CronTimetable, first: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the ends of the intervals that begin in a span: the next begins there, and the last one beyond it."""
    start = None
    for tick in _of_cron(cron, first, last):
        if start is not None:
            yield tick
        start = tick
    if start is not None and (end := cron.next_after(start)) is not None:
        yield end


def _backwards(
    rule: CronTimetable | CronIntervalTimetable | SeveralCronsTimetable, first: datetime, last: datetime
) -> Iterator[datetime]:
    window = FIRST_WINDOW
    while last >= first:
        begin = max(first, last - window) if last - BEGINNING > window else first
        yield from reversed(list(_forwards(rule, begin, last)))
        last, window = just_before(begin), min(2 * window, LONGEST_WINDOW)


def _searched(
    timetable: Timetable, first: datetime, last: datetime, *, backwards: bool
) -> Iterator[datetime]:
    """Yield the ticks of any timetable, one search for each."""
    if backwards:
        tick = _last_of(timetable, last)
        while tick is not None and timetable.logical_date(tick) >= first:
            yield tick
            tick = timetable.latest(just_before(tick))
        return
    tick = timetable.next_after(just_before(first))
    while tick is not None and (date := timetable.logical_date(tick)) <= last:
        if date >= first:
            yield tick
        tick = timetable.next_after(tick)


def _last_of(timetable: Timetable, last: datetime) -> datetime | None:
    """Return the last tick with a logical date up to `last`; the tick itself may be later than that."""
    found = timetable.latest(last)
    while True:
        following = timetable.next_after(last if found is None else found)
        if following is None or timetable.logical_date(following) > last:
            return found
        found = following
