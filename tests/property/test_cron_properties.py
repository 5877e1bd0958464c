"""Random cron expressions, compared with slow searches that look at every day and every minute."""

import calendar
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orch.domain.cron import CronError, CronExpression, DstRule, next_tick, previous_tick

ZONES = sorted(available_timezones() - {"localtime"})
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True)
class Field:
    """A field's text and its meaning, which is worked out beside the text and not from it."""

    text: str
    numbers: frozenset[int]
    dates: tuple[Callable[[date], bool], ...] = ()


@dataclass(frozen=True)
class Meaning:
    """An expression's text and a slow, independent answer to whether it matches."""

    second: Field
    minute: Field
    hour: Field
    day: Field
    month: Field
    week_day: Field

    @property
    def text(self) -> str:
        fields = [self.minute, self.hour, self.day, self.month, self.week_day]
        with_seconds = self.second is not ON_THE_MINUTE
        return " ".join(field.text for field in [*[self.second] * with_seconds, *fields])

    @property
    def is_literal_for_vixie(self) -> bool:
        return self.minute.text[0] == "*" or self.hour.text[0] == "*"

    def has_date(self, day: date) -> bool:
        by_date = day.day in self.day.numbers or any(matches(day) for matches in self.day.dates)
        by_week = day.isoweekday() % 7 in self.week_day.numbers
        by_week = by_week or any(matches(day) for matches in self.week_day.dates)
        both = self.day.text[0] == "*" or self.week_day.text[0] == "*"
        return day.month in self.month.numbers and (by_date and by_week if both else by_date or by_week)

    def has(self, moment: datetime) -> bool:
        return (
            moment.minute in self.minute.numbers
            and moment.hour in self.hour.numbers
            and moment.second in self.second.numbers
            and self.has_date(moment.date())
        )

    def times(self) -> list[time]:
        hours, minutes, seconds = (sorted(f.numbers) for f in (self.hour, self.minute, self.second))
        return [time(hour, minute, second) for hour in hours for minute in minutes for second in seconds]


def length_of(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def is_work_day_for(wanted: Callable[[date], int]) -> Callable[[date], bool]:
    """Whether a date is the Monday to Friday with the smallest distance to the wanted day of its month."""

    def matches(day: date) -> bool:
        target, length = wanted(day), length_of(day)
        candidates = [d for d in range(1, length + 1) if day.replace(day=d).weekday() < 5]
        return target <= length and day.day == min(candidates, key=lambda d: (abs(d - target), d))

    return matches


@st.composite
def numeric(draw: st.DrawFn, low: int, high: int, most: int = 3) -> Field:
    """A list of numbers, ranges and steps."""
    texts, numbers = [], set()
    for _ in range(draw(st.integers(1, most))):
        first, last = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
        step = draw(st.integers(1, high))
        text, span = draw(
            st.sampled_from(
                [
                    (f"{first}", range(first, first + 1)),
                    (f"{first}-{last}", range(first, last + 1)),
                    (f"{first}-{last}/{step}", range(first, last + 1, step)),
                    (f"{first}/{step}", range(first, high + 1, step)),
                    (f"*/{step}", range(low, high + 1, step)),
                    ("*", range(low, high + 1)),
                ]
            )
        )
        texts.append(text)
        numbers |= set(span)
    return Field(",".join(texts), frozenset(numbers))


@st.composite
def month_days(draw: st.DrawFn) -> Field:
    number, back = draw(st.integers(1, 31)), draw(st.integers(1, 30))
    special = [
        ("L", lambda day: day.day == length_of(day)),
        (f"L-{back}", lambda day: day.day == length_of(day) - back),
        (f"{number}W", is_work_day_for(lambda _: number)),
        ("LW", is_work_day_for(length_of)),
    ]
    return draw(with_special(numeric(1, 31), special))


@st.composite
def week_days(draw: st.DrawFn) -> Field:
    number, week = draw(st.integers(0, 6)), draw(st.integers(1, 5))
    name = draw(st.sampled_from([NAMES[number], NAMES[number].lower(), f"{number}"]))
    special = [
        (name, lambda day: day.isoweekday() % 7 == number),
        (f"{name}L", lambda day: day.isoweekday() % 7 == number and day.day > length_of(day) - 7),
        (f"{name}#{week}", lambda day: day.isoweekday() % 7 == number and (day.day + 6) // 7 == week),
    ]
    return draw(with_special(numeric(0, 6), special))


@st.composite
def with_special(
    draw: st.DrawFn, plain: st.SearchStrategy[Field], special: list[tuple[str, Callable[[date], bool]]]
) -> Field:
    if draw(st.booleans()):
        return draw(plain)
    text, matches = draw(st.sampled_from(special))
    if draw(st.booleans()):
        return Field(text, frozenset(), (matches,))
    others = draw(plain)
    return Field(f"{others.text},{text}", others.numbers, (matches,))


STAR = {high: Field("*", frozenset(range(low, high + 1))) for low, high in ((1, 31), (1, 12), (0, 6))}


@st.composite
def expressions(draw: st.DrawFn, clock: st.SearchStrategy[tuple[Field, Field, Field]]) -> Meaning:
    second, minute, hour = draw(clock)
    return Meaning(
        second,
        minute,
        hour,
        day=draw(month_days()),
        month=draw(st.just(STAR[12]) | numeric(1, 12)),
        week_day=draw(st.just(STAR[6]) | week_days()),
    )


ON_THE_MINUTE = Field("0", frozenset({0}))
CLOCKS = st.tuples(st.just(ON_THE_MINUTE) | numeric(0, 59), numeric(0, 59), numeric(0, 23))
SIMPLE_CLOCKS = st.tuples(st.just(ON_THE_MINUTE), numeric(0, 59, most=1), numeric(0, 23, most=1))
FEW_TIMES = SIMPLE_CLOCKS.filter(lambda clock: len(clock[1].numbers) * len(clock[2].numbers) <= 12)


def parsed(meaning: Meaning) -> CronExpression:
    try:
        return CronExpression.parse(meaning.text)
    except CronError:
        assume(False)
        raise


# The wall clock


def days_from(start: date, days: int, direction: int) -> Iterator[date]:
    for distance in range(days):
        yield start + direction * distance * DAY


@given(expressions(CLOCKS), st.datetimes(datetime(1890, 1, 1), datetime(2110, 1, 1)))
def test_the_next_match_is_what_a_walk_over_the_days_finds(meaning: Meaning, start: datetime) -> None:
    expression, times = parsed(meaning), meaning.times()
    days = filter(meaning.has_date, days_from(start.date(), 800, 1))
    walk = (datetime.combine(day, t) for day in days for t in times)
    expected = next((moment for moment in walk if moment > start), None)
    found = expression.next_after(start)
    assert found == expected or (expected is None and found is not None and found > start + 798 * DAY)
    assert found is None or meaning.has(found)


@given(expressions(CLOCKS), st.datetimes(datetime(1890, 1, 1), datetime(2110, 1, 1)))
def test_the_previous_match_is_what_a_walk_back_finds(meaning: Meaning, start: datetime) -> None:
    expression, times = parsed(meaning), meaning.times()[::-1]
    days = filter(meaning.has_date, days_from(start.date(), 800, -1))
    walk = (datetime.combine(day, t) for day in days for t in times)
    expected = next((moment for moment in walk if moment < start), None)
    found = expression.previous_before(start)
    assert found == expected or (expected is None and found is not None and found < start - 798 * DAY)
    assert found is None or meaning.has(found)


@given(expressions(CLOCKS), st.datetimes(datetime(1, 1, 1), datetime.max))
def test_forth_and_back_leads_to_the_same_match(meaning: Meaning, start: datetime) -> None:
    expression = parsed(meaning)
    following = expression.next_after(start)
    if following:
        before = expression.previous_before(following)
        assert before is None or before <= start
        assert before is None or expression.next_after(before) == following


@settings(max_examples=25)
@given(expressions(CLOCKS))
def test_an_expression_is_refused_exactly_when_28_years_hold_no_match(meaning: Meaning) -> None:
    exists = any(map(meaning.has_date, days_from(date(2000, 1, 1), 28 * 366, 1)))
    try:
        CronExpression.parse(meaning.text)
    except CronError:
        assert not exists
    else:
        assert exists


# Time zones


def offset_at(zone: ZoneInfo, instant: datetime) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


@cache
def days_with_a_change(zone: str, year: int) -> list[datetime]:
    info, start = ZoneInfo(zone), datetime(year, 1, 1, tzinfo=UTC)
    days = [start + day * DAY for day in range(366)]
    return [day for day in days if offset_at(info, day) != offset_at(info, day + DAY)]


def walk_minutes(
    meaning: Meaning, zone: ZoneInfo, start: datetime, end: datetime, rule: DstRule
) -> list[datetime]:
    """Look at the wall in every minute of real time; remember what it has shown, notice what it leaves out."""
    literal = meaning.is_literal_for_vixie if rule is DstRule.VIXIE else rule is DstRule.TWICE
    instant = start - 2 * DAY
    shown = instant.astimezone(zone).replace(tzinfo=None)
    ticks = []
    while instant < end:
        wall = instant.astimezone(zone).replace(tzinfo=None)
        due = meaning.has(wall) and (literal or wall > shown)
        if not literal and rule is not DstRule.SKIP:
            left_out = range(1, (wall - shown) // MINUTE)
            due = due or any(meaning.has(shown + minutes * MINUTE) for minutes in left_out)
        if due and instant >= start:
            ticks.append(instant)
        shown = max(shown, wall)
        instant += MINUTE
    return ticks


def tick_both_ways(
    expression: CronExpression, zone: ZoneInfo, start: datetime, end: datetime, rule: DstRule
) -> tuple[list[datetime], list[datetime]]:
    """All ticks from `start` to before `end`, found forwards, and found backwards but in the same order."""
    forward, backward = [], []
    tick = next_tick(expression, start - timedelta(microseconds=1), zone, rule)
    while tick and tick < end:
        forward.append(tick)
        tick = next_tick(expression, tick, zone, rule)
    tick = previous_tick(expression, end, zone, rule)
    while tick and tick >= start:
        backward.append(tick)
        tick = previous_tick(expression, tick, zone, rule)
    return forward, backward[::-1]


@settings(max_examples=50, deadline=None)
@given(SIMPLE_CLOCKS, st.sampled_from(ZONES), st.integers(1972, 2060), st.sampled_from(DstRule), st.data())
def test_ticks_are_what_a_walk_over_the_minutes_finds(
    clock: tuple[Field, Field, Field], name: str, year: int, rule: DstRule, data: st.DataObject
) -> None:
    zone, meaning = ZoneInfo(name), Meaning(*clock, STAR[31], STAR[12], STAR[6])
    day = data.draw(st.sampled_from(days_with_a_change(name, year) or [datetime(year, 6, 1, tzinfo=UTC)]))
    start = day + data.draw(st.integers(-1440, 1440)) * MINUTE
    end = start + 2 * DAY
    assume(all(offset_at(zone, at) % MINUTE == timedelta(0) for at in (start - 2 * DAY, start, end)))
    expected = walk_minutes(meaning, zone, start, end, rule)
    expression = CronExpression.parse(meaning.text)
    assert tick_both_ways(expression, zone, start, end, rule) == (expected, expected)


def translate(wall: datetime, zone: ZoneInfo, literal: bool, makes_up: bool) -> set[datetime]:
    """The instants of one wall-clock time, by going to UTC and back."""
    instants = [wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    real = [instant for instant in instants if instant.astimezone(zone).replace(tzinfo=None) == wall]
    if real:
        return set(real if literal else real[:1])
    after_gap = instants[0]
    for step in (timedelta(hours=1), MINUTE, timedelta(seconds=1)):
        while (after_gap - step).astimezone(zone).replace(tzinfo=None) > wall:
            after_gap -= step
    return {after_gap} if makes_up else set()


@settings(max_examples=50, deadline=None)
@given(expressions(FEW_TIMES), st.sampled_from(ZONES), st.integers(1800, 2060), st.sampled_from(DstRule))
def test_ticks_of_some_years_are_the_matches_on_the_wall_one_by_one(
    meaning: Meaning, name: str, year: int, rule: DstRule
) -> None:
    expression, zone = parsed(meaning), ZoneInfo(name)
    literal = meaning.is_literal_for_vixie if rule is DstRule.VIXIE else rule is DstRule.TWICE
    start, end = (datetime(y, 1, 1, tzinfo=UTC) for y in (year, year + 3))
    days = filter(meaning.has_date, days_from(start.date() - 2 * DAY, 3 * 366 + 4, 1))
    walls = [datetime.combine(day, clock) for day in days for clock in meaning.times()]
    makes_up = not literal and rule is not DstRule.SKIP
    instants = set().union(*(translate(wall, zone, literal, makes_up) for wall in walls))
    expected = sorted(instant for instant in instants if start <= instant < end)
    assert tick_both_ways(expression, zone, start, end, rule) == (expected, expected)
