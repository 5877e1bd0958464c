"""Random questions to `orch cron --batch`: right answers for good ones, an error for bad ones, never an end."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from orch.cli.commands.cron import reply
from orch.domain.cron import DstRule
from orch.domain.zones import zone_names

NOW = datetime(2024, 5, 17, 13, 14, 15, tzinfo=UTC)
ZONES = zone_names()
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def ask(**question: Any) -> dict[str, Any]:
    return reply(json.dumps(question).encode(), {}, NOW)


def ticks_of(**question: Any) -> list[datetime]:
    return [datetime.fromisoformat(tick) for tick in ask(**question)["next"]]


# Any line


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
EXPRESSIONS = st.sampled_from(
    ["@daily", "*/7 3 * * *", "0 0 29 2 *", "61 * * * *", "0 0 30 2 *", "* * * * * *"]
)
MOMENTS = st.datetimes(timezones=st.none() | st.sampled_from(ZONES).map(ZoneInfo)).map(datetime.isoformat)
QUESTIONS = st.fixed_dictionaries(
    {"expr": EXPRESSIONS | st.text() | JSON},
    optional={
        "after": MOMENTS | st.text() | JSON,
        "tz": st.sampled_from(ZONES) | st.text() | JSON,
        "n": st.integers(-3, 5) | JSON,
        "prev": st.booleans() | JSON,
        "dst": st.sampled_from(DstRule) | JSON,
    },
)
LINES = (
    st.binary()
    | JSON.map(lambda value: json.dumps(value).encode())
    | QUESTIONS.map(lambda value: json.dumps(value).encode())
)


@settings(max_examples=300, deadline=None)
@given(LINES)
@example(b'{"expr": "@daily", "after": "0001-01-01T00:00+14:00", "tz": "Pacific/Apia", "n": 3}')
@example(b'{"expr": "@daily", "after": "9999-12-31T23:59-12:00", "tz": "Pacific/Apia", "n": 3, "prev": true}')
def test_every_line_has_one_answer_on_one_line(line: bytes) -> None:
    answer = reply(line, {}, NOW)
    assert "\n" not in json.dumps(answer)
    assert [*answer] in (["next"], ["error"])
    assert "error" not in answer or (isinstance(answer["error"], str) and answer["error"].strip())


# Good lines


STARTS = st.datetimes(datetime(1850, 1, 1), datetime(2150, 1, 1))
TEXTS = st.sampled_from(
    ["*/30 * * * *", "15 2 * * *", "0 0 * * SUN", "0 */6 * * *", "30 1,2,3 * * *", "0 0 L * *", "@daily"]
)


@settings(deadline=None)
@given(TEXTS, STARTS, st.sampled_from(ZONES), st.sampled_from(DstRule), st.integers(1, 6), st.booleans())
def test_ticks_lie_beyond_the_start_in_order_and_carry_the_offset_of_the_zone(
    text: str, start: datetime, zone: str, rule: DstRule, count: int, prev: bool
) -> None:
    ticks = ticks_of(expr=text, after=start.isoformat(), tz=zone, n=count, prev=prev, dst=rule)
    info = ZoneInfo(zone)
    steps = [
        (after - before) for before, after in pairwise([start.replace(tzinfo=info).astimezone(UTC), *ticks])
    ]
    assert len(ticks) == count
    assert all(step < timedelta(0) if prev else step > timedelta(0) for step in steps)
    assert all(tick.utcoffset() == tick.astimezone(info).utcoffset() for tick in ticks)


@settings(deadline=None)
@given(TEXTS, STARTS, st.sampled_from(ZONES), st.sampled_from(DstRule), st.integers(1, 6))
def test_the_ticks_before_the_last_one_are_those_that_led_to_it(
    text: str, start: datetime, zone: str, rule: DstRule, count: int
) -> None:
    common: dict[str, Any] = {"expr": text, "tz": zone, "dst": rule}
    ticks = ticks_of(after=start.isoformat(), n=count, **common)
    beyond = (ticks[-1] + timedelta(seconds=1)).isoformat()
    assert ticks_of(after=beyond, n=count, prev=True, **common) == ticks[::-1]


@settings(deadline=None)
@given(TEXTS, STARTS, st.sampled_from(ZONES), st.sampled_from(DstRule), st.integers(2, 6))
def test_many_ticks_are_what_one_at_a_time_gives(
    text: str, start: datetime, zone: str, rule: DstRule, count: int
) -> None:
    common: dict[str, Any] = {"expr": text, "tz": zone, "dst": rule}
    at_once = ask(after=start.isoformat(), n=count, **common)["next"]
    after, one_by_one = start.isoformat(), []
    for _ in range(count):
        (after,) = ask(after=after, **common)["next"]
        one_by_one.append(after)
    assert at_once == one_by_one


# Against a walk over the minutes


SLOW: dict[str, Callable[[datetime], bool]] = {
    "*/20 * * * *": lambda wall: wall.minute % 20 == 0,
    "15 2 * * *": lambda wall: (wall.hour, wall.minute) == (2, 15),
    "0 0 * * SUN": lambda wall: wall.weekday() == 6 and wall.hour == wall.minute == 0,
    "30 1-3 13 * FRI": lambda wall: (
        (wall.day == 13 or wall.weekday() == 4) and wall.minute == 30 and wall.hour in (1, 2, 3)
    ),
}
FIRST_WHOLE_MINUTES = datetime(1975, 1, 1, tzinfo=UTC)
"""Before, some zones had offsets with seconds, which a walk in minutes does not see."""


def walk(
    matches: Callable[[datetime], bool], zone: ZoneInfo, start: datetime, end: datetime
) -> list[datetime]:
    """The minutes from after `start` to `end` at which the wall shows a match; the rule `twice`."""
    minutes = [start + number * MINUTE for number in range(1, (end - start) // MINUTE + 1)]
    return [minute for minute in minutes if matches(minute.astimezone(zone).replace(tzinfo=None))]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SLOW)), st.integers(0, 85 * 366), st.sampled_from(ZONES))
def test_answers_are_what_a_walk_over_the_minutes_finds(text: str, day: int, zone: str) -> None:
    start = FIRST_WHOLE_MINUTES + day * DAY
    end = start + 9 * DAY
    common: dict[str, Any] = {"expr": text, "tz": zone, "dst": "twice"}
    expected = walk(SLOW[text], ZoneInfo(zone), start, end)
    ticks = ticks_of(after=start.isoformat(), n=9 * 72 + 9, **common)
    assert [tick for tick in ticks if tick <= end] == expected
    before = ticks_of(after=(end + timedelta(seconds=1)).isoformat(), n=9 * 72 + 9, prev=True, **common)
    assert [tick for tick in before if tick > start] == expected[::-1]
