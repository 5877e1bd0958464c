"""Spans of ticks: what is enumerated by the day is exactly what single searches find, by every rule in every zone."""

import random
import struct
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orch.domain.cron import CronExpression, DstRule, next_tick
from orch.domain.cron_bulk import bulk_ticks
from orch.domain.cron_zone import NEAR, ZoneClock
from orch.domain.dagspec import DagSpec, TimetableSpec
from orch.domain.tick_spans import ticks_between
from orch.domain.timetables import Timetable, timetable_of
from orch.domain.timetables.timetable import just_before

ZONES = sorted(available_timezones() - {"localtime"})
EXPRESSIONS = (
    *("0 * * * *", "30 2 * * *", "*/15 * * * *", "0 0 * * *", "0 */6 * * *", "59 23 L * *", "0 12 15W * *"),
    *("0 9 * * MON#2,5L", "0 0 1,15 * FRI", "*/20 30 1,2,3 * * *", "15 0,23 * * *", "0 0 29 2 *"),
    *("10 0-23 * 3,10,11 *", "45 1 LW * *"),
)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LAST_RULED = datetime(2038, 1, 1)


def tz_file(name: str) -> bytes:
    """Return the compiled rules of a zone, as Python reads them."""
    for folder in TZPATH:
        path = Path(folder, name)
        if path.is_file():
            return path.read_bytes()
    return files("tzdata.zoneinfo").joinpath(*name.split("/")).read_bytes()


def listed_changes(data: bytes) -> tuple[list[tuple[datetime, int, int]], str]:
    """Return (instant, offset before, offset after) of all changes of offset in a TZif file, and its rule for later."""
    is_ut, is_standard, leaps, times, types, characters = struct.unpack(">6l", data[20:44])
    start = 44 + times * 5 + types * 6 + characters + leaps * 8 + is_standard + is_ut
    is_ut, is_standard, leaps, times, types, characters = struct.unpack(">6l", data[start + 20 : start + 44])
    place = start + 44
    instants = struct.unpack(f">{times}q", data[place : place + 8 * times])
    kinds = data[place + 8 * times : place + 9 * times]
    place += 9 * times
    offsets = [struct.unpack(">l", data[place + 6 * n : place + 6 * n + 4])[0] for n in range(types)]
    place += 6 * types + characters + 12 * leaps + is_standard + is_ut
    shown = [offsets[0], *(offsets[kind] for kind in kinds)]
    epoch = datetime(1970, 1, 1)
    return [
        (epoch + timedelta(seconds=at), before, after)
        for at, (before, after) in zip(instants, pairwise(shown), strict=True)
        if before != after and at > -9e9
    ], data[place:].decode().strip()


def distinct_zones() -> list[str]:
    """Return one name for each set of rules; many zones have several."""
    return list({tz_file(name): name for name in ZONES}.values())


DISTINCT = distinct_zones()


def changes(zone: ZoneInfo, first: datetime, last: datetime) -> list[datetime]:
    """Return the changes of offset that a look every two days finds."""
    clock, at, found = ZoneClock(zone), first, []
    while at < last:
        change = clock.first_change(at, clock.offset(at), at + NEAR)
        found += [change] if change else []
        at += NEAR
    return found


def searched(expression, zone, dst, first, last) -> list[datetime]:
    tick, found = next_tick(expression, just_before(first), zone, dst), []
    while tick is not None and tick <= last:
        found.append(tick)
        tick = next_tick(expression, tick, zone, dst)
    return found


def enumerated(expression, zone, dst, first, last) -> list[datetime]:
    return [tick for ticks in bulk_ticks(expression, zone, dst, first, last) for tick in ticks]


def test_no_zone_has_two_changes_so_close_that_one_hides_the_other():
    for name in DISTINCT:
        found, _ = listed_changes(tz_file(name))
        assert all(later[0] - earlier[0] > NEAR for earlier, later in pairwise(found)), name
        assert all(abs(after - before) < NEAR.total_seconds() for _, before, after in found), name


def test_looking_every_two_days_sees_every_change_that_a_zone_has_by_rule():
    by_rule: dict[str, tuple[str, int]] = {}
    for name in DISTINCT:
        listed, rule = listed_changes(tz_file(name))
        by_rule.setdefault(rule, (name, max(at.year for at, *_ in listed) if listed else 1970))
    for rule, (name, year) in by_rule.items():
        first = datetime(min(year + 1, 2038), 1, 1)  # what is listed is looked at above
        seen = changes(ZoneInfo(name), first, LAST_RULED)
        years = [change.year for change in seen]
        assert all(years.count(each) == 2 * ("," in rule) for each in range(first.year, 2038)), (name, rule)
        assert all(later - earlier > NEAR for earlier, later in pairwise(seen)), (name, rule)


@pytest.mark.parametrize("part", range(4))
def test_around_a_change_of_each_zone_every_rule_gives_the_ticks_of_single_searches(part):
    seed = random.randrange(2**32)
    print("seed", seed)
    chosen = random.Random(seed)
    for name in DISTINCT[part::4]:
        listed = [at for at, *_ in listed_changes(tz_file(name))[0] if datetime(1970, 1, 2) < at < LAST_RULED]
        ruled = changes(ZoneInfo(name), datetime(2030, 1, 1), datetime(2031, 1, 1))
        for change in chosen.sample([*listed, *ruled], min(2, len(listed) + len(ruled))):
            expression, dst = CronExpression.parse(chosen.choice(EXPRESSIONS)), chosen.choice(list(DstRule))
            first = change.replace(tzinfo=UTC) - chosen.choice((HOUR, DAY))
            span = (expression, ZoneInfo(name), dst, first, first + 4 * DAY)
            assert enumerated(*span) == searched(*span), (name, change, str(expression), dst)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(EXPRESSIONS),
    st.sampled_from(ZONES),
    st.sampled_from(list(DstRule)),
    st.datetimes(datetime(1890, 1, 1), datetime(2060, 1, 1)),
    st.integers(0, 40 * 86400),
)
def test_any_span_has_the_ticks_of_single_searches(text, name, dst, first, seconds):
    begin = first.replace(tzinfo=UTC)
    span = (CronExpression.parse(text), ZoneInfo(name), dst, begin, begin + timedelta(seconds=seconds))
    assert enumerated(*span) == searched(*span)


@pytest.mark.parametrize("first", [datetime.min, datetime(9998, 12, 1)])
def test_the_ends_of_the_calendar_are_no_trouble(first):
    begin, last = first.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    end = min(begin, last - 500 * DAY) + 500 * DAY
    span = (CronExpression.parse("0 0 * * *"), ZoneInfo("Europe/Berlin"), DstRule.VIXIE, begin, end)
    assert enumerated(*span) == searched(*span)


# Timetables

KINDS = (
    TimetableSpec("cron_interval", {"expression": "30 2 * * *"}),
    TimetableSpec("cron_interval", {"expression": "*/30 0-4 * * SUN"}),
    TimetableSpec("crons", {"expressions": ["0 */3 * * *", "30 2 * * *", "0 6 * * *"]}),
    TimetableSpec("delta", {"seconds": 5000}),
    TimetableSpec("delta_interval", {"seconds": 5000}),
    TimetableSpec("dates", {"dates": ["2024-03-31T01:00:00+00:00", "2024-04-01T00:00:00+00:00"]}),
    None,
)


def walked(timetable: Timetable, first: datetime, last: datetime) -> list[datetime]:
    """Walk tick by tick from well before the span, and look at each logical date."""
    tick, found = timetable.next_after(first - 400 * DAY), []
    while tick is not None and timetable.logical_date(tick) <= last:
        found += [tick] if timetable.logical_date(tick) >= first else []
        tick = timetable.next_after(tick)
    return found


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.sampled_from(("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")),
    st.datetimes(datetime(2024, 3, 1), datetime(2024, 11, 5)),
    st.integers(0, 30 * 86400),
    st.booleans(),
)
def test_a_span_is_what_a_walk_from_tick_to_tick_finds_in_both_directions(
    kind, name, first, seconds, is_bounded
):
    begin = first.replace(tzinfo=UTC)
    last = begin + timedelta(seconds=seconds)
    bounds = {"start_date": begin + 3 * DAY, "end_date": begin + 20 * DAY} if is_bounded else {}
    timetable = timetable_of(DagSpec("d", schedule="15 1,2 * * *", timetable=kind, timezone=name, **bounds))
    expected = walked(timetable, begin, last)
    assert list(ticks_between(timetable, begin, last)) == expected
    assert list(ticks_between(timetable, begin, last, backwards=True)) == expected[::-1]


def test_a_schedule_that_follows_its_runs_has_no_ticks_to_list():
    spec = DagSpec("d", schedule="@continuous", timetable=TimetableSpec("continuous"))
    day = datetime(2024, 1, 1, tzinfo=UTC)
    assert list(ticks_between(timetable_of(spec), day, day + DAY)) == []
