"""Cron: what is read, what is refused, which times match, and what a clock change does to them."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from orch.domain.cron import CronError, CronExpression, DstRule, next_tick, previous_tick
from orch.domain.cron_text import MACROS
from orch.errors import BadInput

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
DAY = timedelta(days=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def matches(text: str, start: str, count: int) -> list[str]:
    """The first matches from `start` on, written like `2024-02-29 00:00`, seconds only when there are some."""
    expression, moment, found = CronExpression.parse(text), at(start) - timedelta(microseconds=1), []
    for _ in range(count):
        following = expression.next_after(moment)
        assert following is not None
        moment = following
        found.append(str(moment).removesuffix(":00"))
    return found


def dates(text: str, start: str, count: int) -> list[str]:
    return [match.split()[0] for match in matches(text, start, count)]


def ticks(text: str, zone: str, first: str, last: str, dst: DstRule) -> list[str]:
    """All ticks of two UTC days and those between as local times with offset, searched from both ends."""
    expression, info = CronExpression.parse(text), ZoneInfo(zone)
    start, end = utc(first), utc(last) + DAY
    forward, backward = [], []
    moment = next_tick(expression, start - timedelta(seconds=1), info, dst)
    while moment and moment < end:
        forward.append(moment)
        moment = next_tick(expression, moment, info, dst)
    moment = previous_tick(expression, end, info, dst)
    while moment and moment >= start:
        backward.append(moment)
        moment = previous_tick(expression, moment, info, dst)
    assert forward == backward[::-1]
    return [f"{moment.astimezone(info):%d %H:%M %z}" for moment in forward]


# Reading


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("* * * * *", "2024-02-28T23:59", ["2024-02-28 23:59", "2024-02-29 00:00", "2024-02-29 00:01"]),
        ("*/25 * * * *", "2024-01-01", ["2024-01-01 00:00", "2024-01-01 00:25", "2024-01-01 00:50"]),
        ("10-40/15 5 * * *", "2024-01-01", ["2024-01-01 05:10", "2024-01-01 05:25", "2024-01-01 05:40"]),
        ("7/26 5 * * *", "2024-01-01", ["2024-01-01 05:07", "2024-01-01 05:33", "2024-01-01 05:59"]),
        ("5,1,3-4,3 0 * * *", "2024-01-01", ["2024-01-01 00:01", "2024-01-01 00:03", "2024-01-01 00:04"]),
        ("0 0 1 jan,Jul *", "2024-02-01", ["2024-07-01 00:00", "2025-01-01 00:00"]),
        ("0 0 31 * *", "2024-02-01", ["2024-03-31 00:00", "2024-05-31 00:00", "2024-07-31 00:00"]),
        ("0 0 29 2 *", "2097-01-01", ["2104-02-29 00:00"]),
        ("*/90 * * * *", "2024-01-01", ["2024-01-01 00:00", "2024-01-01 01:00"]),
        ("30 59 23 31 12 *", "2024-12-31", ["2024-12-31 23:59:30", "2025-12-31 23:59:30"]),
        ("*/40 * * * * *", "2024-01-01", ["2024-01-01 00:00", "2024-01-01 00:00:40", "2024-01-01 00:01"]),
        ("  0\t12  * * *  ", "2024-01-01", ["2024-01-01 12:00"]),
    ],
)
def test_lists_ranges_steps_names_and_seconds(text: str, start: str, expected: list[str]) -> None:
    assert matches(text, start, len(expected)) == expected


@pytest.mark.parametrize("week_day", ["0", "7", "sun", "SUN", "7-7", "*/7", "7/2"])
def test_sunday_has_several_names(week_day: str) -> None:
    assert dates(f"0 0 * * {week_day}", "2024-01-01", 100)[0] == "2024-01-07"
    assert dates(f"0 0 * * {week_day}", "2024-01-01", 100)[-1] == "2025-11-30"


@pytest.mark.parametrize("week_days", ["6-7", "SAT-SUN", "6,0", "SAT,7"])
def test_a_range_may_end_on_sunday(week_days: str) -> None:
    assert dates(f"0 0 * * {week_days}", "2024-01-01", 3) == ["2024-01-06", "2024-01-07", "2024-01-13"]


@pytest.mark.parametrize(("macro", "expanded"), MACROS.items())
def test_a_macro_is_its_five_fields(macro: str, expanded: str) -> None:
    assert matches(macro, "2024-05-17T13:14", 5) == matches(expanded, "2024-05-17T13:14", 5)
    assert matches(macro.upper(), "2024-05-17T13:14", 1) == matches(expanded, "2024-05-17T13:14", 1)


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("61 * * * *", 1, "minute 61 is not in 0-59"),
        ("* 24 * * *", 3, "hour 24 is not in 0-23"),
        ("* *  0 * *", 6, "day of month 0 is not in 1-31"),
        ("* * * 1,13 *", 9, "month 13 is not in 1-12"),
        ("* * * * 8", 9, "day of week 8 is not in 0-7"),
        ("60 * * * * *", 1, "second 60 is not in 0-59"),
        ("61 * 99 * *", 1, "minute 61 is not in 0-59"),
        ("* * * JUM *", 7, "month 'JUM' is not a number or a name such as JAN; did you mean 'JUN'?"),
        ("five * * * *", 1, "minute 'five' is not a number"),
        ("５ * * * *", 1, "minute '５' is not a number"),  # noqa: RUF001 -- a digit that is not ASCII
        ("*5 * * * *", 1, "minute '*5' is not a number"),
        ("-5 * * * *", 1, "the minute is missing"),
        ("1,,2 * * * *", 3, "the minute is missing"),
        ("1- * * * *", 3, "the minute is missing"),
        ("1-2-3 * * * *", 4, "a range has two ends, '1-2-3' has more"),
        ("40-10 * * * *", 1, "minute range 40-10 runs backwards; write 40-59,0-10"),
        ("0 0 * * FRI-MON", 9, "day of week range FRI-MON runs backwards; write FRI-6,0-MON"),
        ("0 0 * * 5-0", 9, "day of week range 5-0 runs backwards; write 5-6,0-0"),
        ("1,*/0 * * * *", 5, "minute step '0' is not a number of 1 or more"),
        ("*/x * * * *", 3, "minute step 'x' is not a number of 1 or more"),
        ("*/2/3 * * * *", 4, "one step is enough"),
        ("0 0 L-31 * *", 7, "no month has 31 days before its last"),
        ("0 0 L5 * *", 5, "'L5' is not understood; L, L-3 and LW are"),
        ("0 0 1-5W * *", 5, "day of month '1-5' is not a number"),
        ("0 0 32W * *", 5, "day of month 32 is not in 1-31"),
        ("0 0 * * L", 9, "L needs a day before it: 5L is the last Friday of the month"),
        ("0 0 * * MON#6", 13, "week '6' is not in 1-5: MON#2 is the second Monday of the month"),
        ("0 0 * * 1#2#3", 11, "week '2#3' is not in 1-5: MON#2 is the second Monday of the month"),
        ("0 0 * * 9#2", 9, "day of week 9 is not in 0-7"),
        ("* * * *", 8, "4 fields; it takes 5"),
        ("* * * * * * *", 13, "7 fields; it takes 5"),
        ("", 1, "0 fields; it takes 5"),
        ("@dayly", 1, "unknown macro '@dayly'; did you mean '@daily'?"),
        ("@reboot", 1, "unknown macro '@reboot'; use one of @yearly,"),
        (" @daily 5", 9, "nothing may follow @daily"),
        ("0," * 600, 1001, "longer than 1000 characters"),
        ("0 0 30 2 *", 5, "there is no day of month 30 in month 2"),
        ("0 0 31 4,6,9,NOV *", 5, "there is no day of month 31 in month 4,6,9,NOV"),
        ("0 0 0 L-29 2 *", 7, "there is no day of month L-29 in month 2"),
        ("0 0 */30 2 1#2", 5, "there is no day of month */30 in month 2 on day of week 1#2"),
    ],
)
def test_a_mistake_is_named_with_its_column(text: str, column: int, reason: str) -> None:
    with pytest.raises(CronError) as caught:
        CronExpression.parse(text)
    assert caught.value.column == column
    assert str(caught.value).startswith(f"bad cron expression {text!r}, column {column}: {reason}")


def test_a_date_that_exists_in_some_listed_month_or_as_a_week_day_is_not_refused() -> None:
    assert dates("0 0 31 4,5 *", "2024-01-01", 1) == ["2024-05-31"]
    assert dates("0 0 30 2 MON", "2024-01-01", 2) == ["2024-02-05", "2024-02-12"]
    assert dates("0 0 * 2 MON#5", "2024-01-01", 2) == ["2044-02-29", "2072-02-29"]


def test_expressions_are_values() -> None:
    expression = CronExpression.parse("*/5 * * * *")
    assert expression == CronExpression.parse("*/5 * * * *")
    assert len({expression, CronExpression.parse("*/5 * * * *")}) == 1
    assert str(expression) == "*/5 * * * *"


# Days


def test_date_or_week_day_suffices_when_both_are_restricted() -> None:
    assert dates("0 0 13 * FRI", "2024-09-01", 5) == [
        *("2024-09-06", "2024-09-13", "2024-09-20", "2024-09-27", "2024-10-04"),
    ]


@pytest.mark.parametrize("text", ["0 0 */6 * FRI", "0 0 1-31/6 * */5"])
def test_date_and_week_day_are_both_needed_when_one_starts_with_a_star(text: str) -> None:
    assert all(at(day).day in (1, 7, 13, 19, 25, 31) for day in dates(text, "2024-01-01", 20))
    assert all(at(day).isoweekday() in (5, 7) for day in dates(text, "2024-01-01", 20))


def test_a_restricted_star_and_a_full_range_are_not_the_same() -> None:
    assert dates("0 0 1-31 * MON", "2024-01-01", 3) == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert dates("0 0 * * MON", "2024-01-01", 3) == ["2024-01-01", "2024-01-08", "2024-01-15"]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("L", ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]),
        ("l-3", ["2024-01-28", "2024-02-26", "2024-03-28", "2024-04-27"]),
        ("L-30", ["2024-01-01", "2024-03-01", "2024-05-01", "2024-07-01"]),
        ("15,L", ["2024-01-15", "2024-01-31", "2024-02-15", "2024-02-29"]),
        ("15W", ["2024-01-15", "2024-02-15", "2024-03-15", "2024-04-15", "2024-05-15", "2024-06-14"]),
        ("1W", ["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01", "2024-05-01", "2024-06-03"]),
        ("2W", ["2024-01-02", "2024-02-02", "2024-03-01", "2024-04-02"]),
        ("31W", ["2024-01-31", "2024-03-29", "2024-05-31", "2024-07-31", "2024-08-30"]),
        ("30w", ["2024-01-30", "2024-03-29", "2024-04-30", "2024-05-30", "2024-06-28"]),
        ("LW", ["2024-01-31", "2024-02-29", "2024-03-29", "2024-04-30", "2024-05-31", "2024-06-28"]),
    ],
)
def test_last_days_and_nearest_weekdays(day: str, expected: list[str]) -> None:
    assert dates(f"0 0 {day} * *", "2024-01-01", len(expected)) == expected


def test_a_weekday_nearest_to_a_day_that_does_not_exist_is_none() -> None:
    assert dates("0 0 31W 6,7 *", "2023-06-01", 1) == ["2023-07-31"]  # 30 June is a Friday


@pytest.mark.parametrize(
    ("week_day", "expected"),
    [
        ("MON#1", ["2024-01-01", "2024-02-05", "2024-03-04"]),
        ("5#5", ["2024-03-29", "2024-05-31", "2024-08-30"]),
        ("7#2", ["2024-01-14", "2024-02-11", "2024-03-10"]),
        ("5L", ["2024-01-26", "2024-02-23", "2024-03-29"]),
        ("sunl", ["2024-01-28", "2024-02-25", "2024-03-31"]),
        ("MON#1,3L", ["2024-01-01", "2024-01-31", "2024-02-05", "2024-02-28"]),
    ],
)
def test_week_days_of_a_certain_week(week_day: str, expected: list[str]) -> None:
    assert dates(f"0 0 * * {week_day}", "2024-01-01", len(expected)) == expected


# Searching


def test_search_excludes_the_time_it_starts_from() -> None:
    noon = CronExpression.parse("0 12 * * *")
    assert noon.next_after(at("2024-01-01T12:00")) == at("2024-01-02T12:00")
    assert noon.next_after(at("2024-01-01T11:59:59.999999")) == at("2024-01-01T12:00")
    assert noon.previous_before(at("2024-01-01T12:00")) == at("2023-12-31T12:00")
    assert noon.previous_before(at("2024-01-01T12:00:00.000001")) == at("2024-01-01T12:00")


def test_the_calendar_ends() -> None:
    noon = CronExpression.parse("0 12 * * *")
    assert noon.next_after(at("9999-12-31T11:00")) == at("9999-12-31T12:00")
    assert noon.next_after(at("9999-12-31T12:00")) is None
    assert noon.next_after(datetime.max) is None
    assert noon.previous_before(at("0001-01-01T12:01")) == at("0001-01-01T12:00")
    assert noon.previous_before(at("0001-01-01T12:00")) is None
    assert noon.previous_before(datetime.min) is None
    for search in (next_tick, previous_tick):
        for extreme in (datetime.min, datetime.max):
            result = search(noon, extreme.replace(tzinfo=UTC), NEW_YORK)
            assert result is None or result.year in (1, 9999)


@pytest.mark.parametrize(
    ("zone", "first", "last"),
    [
        ("UTC", "0001-01-02T00:00", "9999-12-31T00:00"),
        ("Asia/Tokyo", "0001-01-01T14:41:01", "9999-12-30T15:00"),
        ("America/New_York", "0001-01-02T04:56:02", "9999-12-31T05:00"),
    ],
)
def test_the_outermost_days_are_searched_as_far_as_utc_and_the_wall_both_have_them(
    zone: str, first: str, last: str
) -> None:
    daily, info = CronExpression.parse("@daily"), ZoneInfo(zone)
    for start in (datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=info)):
        assert next_tick(daily, start, info) == utc(first)
    for end in (datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=info)):
        assert previous_tick(daily, end, info) == utc(last)
    assert next_tick(daily, utc(last) - timedelta(seconds=1), info) == utc(last)
    assert next_tick(daily, utc(last), info) is None
    assert previous_tick(daily, utc(first) + timedelta(seconds=1), info) == utc(first)


def test_a_time_matches_or_not() -> None:
    expression = CronExpression.parse("30 9 * * MON")
    assert expression.matches(at("2024-01-01T09:30"))
    assert not expression.matches(at("2024-01-01T09:30:01"))
    assert not expression.matches(at("2024-01-02T09:30"))
    assert CronExpression.parse("@daily").matches(datetime.min)


def test_a_wall_clock_search_wants_no_zone_and_a_tick_search_does() -> None:
    expression = CronExpression.parse("@daily")
    calls: list[Callable[[], object]] = [
        lambda: expression.next_after(utc("2024-01-01")),
        lambda: expression.previous_before(utc("2024-01-01")),
        lambda: next_tick(expression, at("2024-01-01"), BERLIN),
        lambda: previous_tick(expression, at("2024-01-01"), BERLIN),
    ]
    for call in calls:
        with pytest.raises(BadInput, match="time zone"):
            call()


def test_a_match_decades_away_is_found_at_once() -> None:
    expression = CronExpression.parse("0 0 29 2 */7")
    started = time.perf_counter()
    for _ in range(100):
        assert next_tick(expression, utc("2072-02-28T12:00"), BERLIN) == utc("2088-02-28T23:00")
        assert expression.next_after(at("1880-03-01")) == at("1920-02-29")
    assert time.perf_counter() - started < 1


# Clock changes: 30-31 March 2024 Berlin goes from 02:00 to 03:00, 27 October from 03:00 back to 02:00


@pytest.mark.parametrize(
    ("dst", "spring", "autumn"),
    [
        (DstRule.VIXIE, ["31 03:00 +0200"], ["27 02:30 +0200"]),
        (DstRule.SKIP, [], ["27 02:30 +0200"]),
        (DstRule.ONCE, ["31 03:00 +0200"], ["27 02:30 +0200"]),
        (DstRule.TWICE, [], ["27 02:30 +0200", "27 02:30 +0100"]),
    ],
)
def test_a_fixed_time_and_each_rule(dst: DstRule, spring: list[str], autumn: list[str]) -> None:
    assert ticks("30 2 * * *", "Europe/Berlin", "2024-03-31", "2024-03-31", dst) == spring
    assert ticks("30 2 * * *", "Europe/Berlin", "2024-10-27", "2024-10-27", dst) == autumn


@pytest.mark.parametrize("text", ["30 * * * *", "@hourly", "*/30 2 * * *"])
def test_vixie_takes_wildcards_at_the_word_of_the_wall(text: str) -> None:
    for day in ("2024-03-31", "2024-10-27"):
        vixie = ticks(text, "Europe/Berlin", day, day, DstRule.VIXIE)
        assert vixie == ticks(text, "Europe/Berlin", day, day, DstRule.TWICE)


def test_an_hourly_job_ticks_every_hour_of_real_time() -> None:
    assert ticks("0 */1 * * *", "Europe/Berlin", "2024-03-31", "2024-03-31", DstRule.VIXIE)[:3] == [
        *("31 01:00 +0100", "31 03:00 +0200", "31 04:00 +0200"),
    ]
    assert ticks("0 */1 * * *", "Europe/Berlin", "2024-10-27", "2024-10-27", DstRule.VIXIE)[:3] == [
        *("27 02:00 +0200", "27 02:00 +0100", "27 03:00 +0100"),
    ]


@pytest.mark.parametrize("text", ["5,10,59 2 * * *", "0 2,3 * * *", "5/10 5/5 2,3 * * *"])
def test_skipped_times_and_one_due_right_after_them_are_one_tick(text: str) -> None:
    found = ticks(text, "Europe/Berlin", "2024-03-31", "2024-03-31", DstRule.ONCE)
    assert found.count("31 03:00 +0200") == 1


def test_new_york_in_spring_and_autumn() -> None:
    assert ticks("15 1,2 * * *", "America/New_York", "2024-03-10", "2024-03-10", DstRule.VIXIE) == [
        *("10 01:15 -0500", "10 03:00 -0400"),
    ]
    assert ticks("15 1 * * *", "America/New_York", "2024-11-03", "2024-11-03", DstRule.VIXIE) == [
        "03 01:15 -0400"
    ]


def test_lord_howe_moves_its_clock_by_half_an_hour() -> None:
    zone = "Australia/Lord_Howe"
    assert ticks("15 2 * * *", zone, "2024-10-05", "2024-10-05", DstRule.VIXIE) == ["06 02:30 +1100"]
    assert ticks("45 1 * * *", zone, "2024-04-06", "2024-04-06", DstRule.VIXIE) == ["07 01:45 +1100"]
    assert ticks("*/15 1 * * *", zone, "2024-04-06", "2024-04-06", DstRule.VIXIE) == [
        *("07 01:00 +1100", "07 01:15 +1100", "07 01:30 +1100", "07 01:45 +1100"),
        *("07 01:30 +1030", "07 01:45 +1030"),
    ]


def test_apia_has_no_30_december_2011() -> None:
    zone = "Pacific/Apia"
    assert ticks("30 9 * * *", zone, "2011-12-29", "2011-12-30", DstRule.SKIP) == [
        *("29 09:30 -1000", "31 09:30 +1400"),
    ]
    assert ticks("30 9 * * *", zone, "2011-12-29", "2011-12-30", DstRule.VIXIE) == [
        *("29 09:30 -1000", "31 00:00 +1400", "31 09:30 +1400"),
    ]
    assert ticks("0 0 30 12 *", zone, "2011-12-29", "2011-12-30", DstRule.ONCE) == ["31 00:00 +1400"]


def test_a_change_at_midnight_does_not_lose_the_daily_tick() -> None:
    assert ticks("@daily", "America/Sao_Paulo", "2018-11-03", "2018-11-04", DstRule.VIXIE) == [
        *("03 00:00 -0300", "04 01:00 -0200"),
    ]
    assert ticks("@daily", "America/Havana", "2024-11-03", "2024-11-03", DstRule.VIXIE) == ["03 00:00 -0400"]


def test_a_search_from_within_the_repeated_hour() -> None:
    half_past = CronExpression.parse("30 2 * * *")
    second_pass = utc("2024-10-27T01:10")
    assert next_tick(half_past, second_pass, BERLIN) == utc("2024-10-28T01:30")
    assert next_tick(half_past, second_pass, BERLIN, DstRule.TWICE) == utc("2024-10-27T01:30")
    assert previous_tick(half_past, utc("2024-10-27T01:45"), BERLIN) == utc("2024-10-27T00:30")


def test_a_search_from_around_the_gap() -> None:
    half_past, change = CronExpression.parse("30 2 * * *"), utc("2024-03-31T01:00")
    tiny = timedelta(microseconds=1)
    assert next_tick(half_past, change - tiny, BERLIN) == change
    assert next_tick(half_past, change, BERLIN) == utc("2024-04-01T00:30")
    assert previous_tick(half_past, change + tiny, BERLIN) == change
    assert previous_tick(half_past, change, BERLIN) == utc("2024-03-30T01:30")


def test_any_aware_time_will_do_and_the_answer_is_in_utc() -> None:
    tick = next_tick(CronExpression.parse("0 12 * * *"), at("2024-06-01T00:00+09:00"), NEW_YORK)
    assert tick == utc("2024-05-31T16:00")
    assert tick is not None
    assert tick.tzinfo is UTC
    assert next_tick(CronExpression.parse("@daily"), utc("2024-06-01T10:00"), UTC) == utc("2024-06-02")


# Words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("0 * * * *", "at minute 0 of every hour"),
        ("0 */12 * * *", "at 00:00 and 12:00 every day"),
        ("0 */2 * * *", "at minute 0 of every 2nd hour"),
        ("7/10 9-17 * * *", "at minutes 7 to 57 in steps of 10 of hours 9 to 17"),
        ("*/15 9-17 * * MON-FRI", "every 15 minutes of hours 9 to 17 on Monday to Friday"),
        ("30 2,14 * * *", "at 02:30 and 14:30 every day"),
        ("15 30 2 * * *", "at 02:30:15 every day"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("30 */5 * * * *", "at second 30, every 5 minutes"),
        ("@yearly", "at 00:00 on day 1 of the month in January"),
        ("0 0 1,15 * FRI", "at 00:00 on days 1 and 15 of the month or on Friday"),
        ("0 0 */2 * MON", "at 00:00 on days 1 to 31 in steps of 2 of the month, but only on Monday"),
        ("0 0 1-31 * MON", "at 00:00 every day"),
        (
            "0 0 1,2,3,9 JUN-AUG,DEC *",
            "at 00:00 on days 1 to 3 and 9 of the month in June to August and December",
        ),
        (
            "0 0 L,15W,LW * *",
            "at 00:00 on the last day, the last weekday and the weekday nearest to day 15 of the month",
        ),
        ("0 0 L-3 * *", "at 00:00 on the 3rd day before the last of the month"),
        ("0 9 * * MON#2,5L", "at 09:00 on the second Monday of the month and the last Friday of the month"),
        ("0 22 * * SAT-SUN", "at 22:00 on Saturday and Sunday"),
    ],
)
def test_an_expression_in_words(text: str, words: str) -> None:
    assert CronExpression.parse(text).describe() == words
