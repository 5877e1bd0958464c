"""Timetables: first, next and latest ticks of each kind within the dates of a DAG."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orch.domain.cron import CronError
from orch.domain.dagspec import DagSpec, TimetableSpec
from orch.domain.ticks import Cursor, due_ticks
from orch.domain.timetables import (
    DagTimetable,
    NeverTimetable,
    TimetableContext,
    TimetableError,
    timetable_of,
)
from orch.domain.timetables.words import every

NOON = datetime(2024, 3, 10, 12, tzinfo=UTC)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def timetable(schedule: str | None = "0 6 * * *", **values: Any) -> DagTimetable:
    return timetable_of(DagSpec("d", schedule=schedule, **values))


def of_kind(kind: str, arguments: dict[str, Any], **values: Any) -> DagTimetable:
    return timetable_of(DagSpec("d", timetable=TimetableSpec(kind, arguments), **values))


def ticks_of(table: DagTimetable, after: datetime, count: int) -> list[str]:
    found: list[str] = []
    tick = table.next_after(after)
    while tick is not None and len(found) < count:
        found.append(f"{tick:%m-%d %H:%M}")
        tick = table.next_after(tick)
    return found


def test_a_new_schedule_starts_with_the_next_tick_when_it_does_not_catch_up() -> None:
    assert timetable(start_date=moment("2020-01-01")).first(NOON, None, catchup=False) == moment(
        "2024-03-11T06:00"
    )


def test_a_schedule_that_catches_up_starts_at_its_start_date_inclusive() -> None:
    start = moment("2024-01-01T06:00")
    assert timetable(start_date=start).first(NOON, None, catchup=True) == start


def test_a_changed_schedule_that_catches_up_goes_on_after_the_last_tick() -> None:
    last = moment("2024-03-01T06:00")
    assert timetable(start_date=moment("2020-01-01")).first(NOON, last, catchup=True) == moment(
        "2024-03-02T06:00"
    )


def test_no_tick_comes_before_the_start_date_or_after_the_end_date() -> None:
    table = timetable(start_date=moment("2024-05-01"), end_date=moment("2024-05-02T06:00"))
    assert table.next_after(NOON) == moment("2024-05-01T06:00")
    assert table.next_after(moment("2024-05-01T06:00")) == moment("2024-05-02T06:00")
    assert table.next_after(moment("2024-05-02T06:00")) is None
    assert table.latest(NOON) is None
    assert table.latest(moment("2025-01-01")) == moment("2024-05-02T06:00")


def test_the_latest_tick_is_at_or_before_now() -> None:
    assert timetable().latest(moment("2024-03-10T06:00")) == moment("2024-03-10T06:00")
    assert timetable().latest(moment("2024-03-10T05:59")) == moment("2024-03-09T06:00")


def test_ticks_follow_the_zone_of_the_dag() -> None:
    table = timetable(timezone="America/New_York")
    assert table.next_after(moment("2024-01-01")) == moment("2024-01-01T11:00")
    assert table.next_after(moment("2024-07-01")) == moment("2024-07-01T10:00")


def test_once_ticks_once() -> None:
    table = timetable("@once")
    assert table.first(NOON, None, catchup=False) == NOON
    assert table.first(NOON, NOON, catchup=False) is None
    assert table.next_after(NOON) is None


def test_no_schedule_never_ticks() -> None:
    assert timetable(None) == NeverTimetable()
    assert timetable(None).first(NOON, None, catchup=True) is None


def test_a_bad_expression_is_named() -> None:
    with pytest.raises(CronError, match="61"):
        timetable("61 * * * *")


# Kinds


def test_a_cron_interval_is_due_at_its_end_and_stands_for_its_start() -> None:
    table = of_kind("cron_interval", {"expression": "0 0 * * *"})
    tick = table.next_after(NOON)
    assert tick == moment("2024-03-11")
    assert table.interval_of(tick) == (moment("2024-03-10"), moment("2024-03-11"))
    assert table.logical_date(tick) == moment("2024-03-10")


def test_the_dates_of_a_dag_bound_the_starts_of_intervals() -> None:
    dates = {"start_date": moment("2024-03-01"), "end_date": moment("2024-03-03")}
    table = of_kind("cron_interval", {"expression": "0 0 * * *"}, **dates)
    assert ticks_of(table, moment("2020-01-01"), 9) == ["03-02 00:00", "03-03 00:00", "03-04 00:00"]
    assert table.latest(moment("2024-03-02") - timedelta(seconds=1)) is None
    assert table.latest(moment("2030-01-01")) == moment("2024-03-04")
    assert table.latest(moment("2024-03-03T12:00")) == moment("2024-03-03")


def test_an_interval_that_began_before_the_start_date_is_left_out() -> None:
    table = of_kind("cron_interval", {"expression": "0 0 * * *"}, start_date=moment("2024-03-01T12:00"))
    assert table.next_after(moment("2020-01-01")) == moment("2024-03-03")


def test_an_interval_over_a_change_of_the_clock_is_as_long_as_the_day() -> None:
    table = of_kind("cron_interval", {"expression": "0 0 * * *"}, timezone="Europe/Berlin")
    tick = table.next_after(moment("2024-03-31T12:00"))
    assert tick is not None
    start, end = table.interval_of(tick)
    assert end - start == timedelta(hours=23)


def test_a_delta_counts_elapsed_time_from_the_start_date() -> None:
    table = of_kind("delta", {"seconds": 90 * 60}, start_date=moment("2024-03-10T00:10"))
    assert ticks_of(table, moment("2020-01-01"), 3) == ["03-10 00:10", "03-10 01:40", "03-10 03:10"]
    assert table.latest(NOON) == moment("2024-03-10T10:40")


def test_a_delta_without_start_date_counts_from_1970() -> None:
    table = of_kind("delta", {"seconds": 7 * 86400})
    tick = table.next_after(NOON)
    assert tick is not None
    assert tick.weekday() == 3  # 1970 began on a Thursday
    assert (tick - datetime(1970, 1, 1, tzinfo=UTC)) % timedelta(days=7) == timedelta(0)


def test_the_first_interval_of_a_delta_begins_at_the_start_date() -> None:
    table = of_kind("delta_interval", {"seconds": 3600}, start_date=moment("2024-03-10T00:10"))
    tick = table.next_after(moment("2020-01-01"))
    assert tick == moment("2024-03-10T01:10")
    assert table.interval_of(tick) == (moment("2024-03-10T00:10"), tick)


def test_several_crons_are_their_union_and_coincide_in_one_tick() -> None:
    table = of_kind("crons", {"expressions": ["0 6 * * *", "0 */12 * * *", "0 6 11 * *"]})
    assert ticks_of(table, NOON, 4) == ["03-11 00:00", "03-11 06:00", "03-11 12:00", "03-12 00:00"]
    assert table.latest(moment("2024-03-11T11:59")) == moment("2024-03-11T06:00")


def test_dates_are_ticks_whatever_their_order() -> None:
    texts = ["2024-04-01T00:00:00+00:00", "2024-03-12T06:00:00+02:00", "2024-04-01T00:00:00+00:00"]
    table = of_kind("dates", {"dates": texts})
    assert ticks_of(table, NOON, 9) == ["03-12 04:00", "04-01 00:00"]
    assert table.latest(NOON) is None


@pytest.mark.parametrize("rule", ["vixie", "skip", "once", "twice"])
def test_the_rule_of_the_dag_decides_at_a_change_of_the_clock(rule: str) -> None:
    ticks = {"vixie": "03-31 01:00", "once": "03-31 01:00", "skip": "04-01 00:30", "twice": "04-01 00:30"}
    table = timetable("30 2 * * *", timezone="Europe/Berlin", dst=rule)
    assert ticks_of(table, moment("2024-03-31"), 1) == [ticks[rule]]
    several = of_kind(
        "crons", {"expressions": ["30 2 * * *", "0 0 1 1 *"]}, timezone="Europe/Berlin", dst=rule
    )
    assert ticks_of(several, moment("2024-03-31"), 1) == [ticks[rule]]


# Continuous


def due(
    table: DagTimetable, cursor: Cursor, now: datetime, *, catchup: bool = False
) -> tuple[list[datetime], Any]:
    found = due_ticks(table, cursor, now, catchup=catchup, most=100)
    return list(found.ticks), found.following


@pytest.mark.parametrize("catchup", [False, True])
def test_a_continuous_schedule_makes_one_run_now_and_the_next_a_second_later(catchup: bool) -> None:
    table = of_kind("continuous", {}, start_date=moment("2020-01-01"))
    last = NOON - timedelta(hours=3)
    assert table.follows_end
    assert due(table, Cursor(last, last + timedelta(seconds=1)), NOON, catchup=catchup) == (
        [NOON],
        NOON + timedelta(seconds=1),
    )
    assert table.first(NOON, None, catchup=catchup) == NOON + timedelta(seconds=1)


def test_a_continuous_schedule_keeps_its_dates() -> None:
    table = of_kind("continuous", {}, start_date=moment("2024-05-01"), end_date=moment("2024-05-02"))
    assert table.first(NOON, None, catchup=False) is not None
    assert table.first(NOON, None, catchup=False) >= moment("2024-05-01")  # type: ignore[operator]  # just checked
    assert table.next_after(moment("2024-05-02")) is None


# What is due


def test_once_comes_at_the_start_date_and_never_after_the_end_date() -> None:
    start = moment("2024-01-01")
    assert due(timetable("@once", start_date=start), Cursor(None, None, is_new=True), NOON) == ([start], None)
    assert timetable("@once", end_date=start).first(NOON, None, catchup=True) is None


def test_without_catchup_the_latest_missed_interval_is_made_up_for() -> None:
    table = of_kind("cron_interval", {"expression": "0 0 * * *"})
    ticks, following = due(table, Cursor(moment("2024-03-01"), moment("2024-03-02")), NOON)
    assert ([table.logical_date(tick) for tick in ticks], following) == (
        [moment("2024-03-09")],
        moment("2024-03-11"),
    )


def test_dates_that_have_passed_are_made_up_for_with_catchup_from_the_start_date() -> None:
    dates = [f"2024-0{month}-01T00:00:00+00:00" for month in (1, 2, 3, 4)]
    table = of_kind("dates", {"dates": dates}, start_date=moment("2024-02-01"))
    ticks, following = due(table, Cursor(None, None, is_new=True), NOON, catchup=True)
    assert [tick.month for tick in ticks] == [2, 3]
    assert following == moment("2024-04-01")


# Mistakes


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("deltas", {}, "unknown timetable 'deltas'; did you mean 'delta'?"),
        ("acme.moon", {}, "unknown timetable 'acme.moon'; install the plugin that brings it"),
        ("delta", {"seconds": 0.5}, "a delta is from 1 second to 36,500 days long, not 0:00:00.500000"),
        ("dates", {"dates": []}, "0 dates; name from 1 to 10,000"),
        ("crons", {"expressions": []}, "several crons are at least one"),
        ("cron_interval", {"expression": "61 * * * *"}, "column 1: minute 61 is not in 0-59"),
    ],
)
def test_what_cannot_be_a_timetable_is_refused(kind: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TimetableError, CronError)) as caught:
        of_kind(kind, arguments)
    assert message in str(caught.value)


def test_a_rule_that_never_comes_within_the_dates_is_given_up() -> None:
    class Standstill:
        def next_after(self, at: datetime) -> datetime:
            return at + timedelta(seconds=1)

        latest = next_after

        def interval_of(self, tick: datetime) -> tuple[datetime, datetime]:
            return tick, tick

        def logical_date(self, tick: datetime) -> datetime:
            return moment("2000-01-01")

    def make(_arguments: object, _context: TimetableContext) -> Standstill:
        return Standstill()

    spec = DagSpec("d", timetable=TimetableSpec("x"), start_date=moment("2024-01-01"))
    with pytest.raises(TimetableError, match="10,000 ticks in a row"):
        timetable_of(spec, {"x": make}).next_after(NOON)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(minutes=5), "every 5 minutes"),
        (timedelta(hours=1), "every hour"),
        (timedelta(days=7), "every 7 days"),
        (timedelta(seconds=1), "every second"),
        (timedelta(seconds=90), "every 1 minute 30 seconds"),
        (timedelta(hours=30, seconds=1.5), "every 1 day 6 hours 1.5 seconds"),
    ],
)
def test_a_rhythm_has_words(span: timedelta, words: str) -> None:
    assert every(span) == words
