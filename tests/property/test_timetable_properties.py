"""Timetables against slow oracles: every tick of a window by walking it, in zones whose clocks change."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from orch.domain.cron import CronExpression, DstRule, next_tick
from orch.domain.dagspec import DagSpec, TimetableSpec
from orch.domain.ticks import Cursor, due_ticks
from orch.domain.timetables import DagTimetable, timetable_of

INSTANT = timedelta(microseconds=1)
SPAN = timedelta(days=9)
CHANGES = {
    "UTC": ["2024-02-29T00:00"],
    "Europe/Berlin": ["2024-03-31T01:00", "2024-10-27T01:00"],
    "Australia/Lord_Howe": ["2024-04-06T15:00", "2024-10-05T15:30"],
    "Pacific/Apia": ["2011-12-30T10:00"],
    "America/New_York": ["2024-03-10T07:00", "2024-11-03T06:00"],
}
"""Zones, and instants at which their clocks change."""
EXPRESSIONS = [
    "30 2 * * *", "0 0 * * *", "*/45 */5 * * *", "15 1,2,3 * * *", "0 12 * * mon-fri", "0 0 30 12 *",
    "59 23 28-31 * *", "30 */6 * * *", "0 0 29 2 *",
]  # fmt: skip


class Case(NamedTuple):
    """A schedule, and the window in which it is looked at."""

    spec: DagSpec
    begin: datetime
    end: datetime

    @property
    def timetable(self) -> DagTimetable:
        return timetable_of(self.spec)


Ticks = list[tuple[datetime, datetime]]
"""(tick, logical date)."""


def cron_ticks(text: str, spec: DagSpec, begin: datetime, end: datetime) -> list[datetime]:
    """Every tick after `begin` up to `end`, as the search for single expressions finds them (it has its own tests)."""
    found: list[datetime] = []
    at = begin
    while True:
        tick = next_tick(CronExpression.parse(text), at, ZoneInfo(spec.timezone), DstRule(spec.dst))
        if tick is None or tick > end:
            return found
        found.append(tick)
        at = tick


def all_ticks(case: Case) -> Ticks:
    """Every tick of the window without looking at the timetable: what the kinds promise, by walking."""
    spec, begin, end = case
    assert spec.timetable is not None
    kind, arguments = spec.timetable.kind, spec.timetable.arguments
    early = begin - timedelta(days=1600)  # so far back lies the start of the longest interval
    match kind:
        case "crons":
            points = {t for text in arguments["expressions"] for t in cron_ticks(text, spec, begin, end)}
            ticks = [(tick, tick) for tick in sorted(points)]
        case "cron_interval":
            ends = cron_ticks(arguments["expression"], spec, early, end)
            ticks = [(tick, start) for start, tick in pairwise(ends) if tick > begin]
        case "delta" | "delta_interval":
            delta = timedelta(seconds=arguments["seconds"])
            tick = spec.start_date or datetime(1970, 1, 1, tzinfo=UTC)
            tick += (begin - tick) // delta * delta
            ticks = []
            while tick <= end:
                ticks += [(tick, tick - delta if kind == "delta_interval" else tick)] if tick > begin else []
                tick += delta
        case _:
            dates = {datetime.fromisoformat(text).astimezone(UTC) for text in arguments["dates"]}
            ticks = [(date, date) for date in sorted(dates) if begin < date <= end]
    first, last = spec.start_date or begin - SPAN * 999, spec.end_date or end
    return [(tick, date) for tick, date in ticks if first <= date <= last]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    zone = draw(st.sampled_from(sorted(CHANGES)))
    change = datetime.fromisoformat(draw(st.sampled_from(CHANGES[zone]))).replace(tzinfo=UTC)
    begin = change - timedelta(seconds=draw(st.integers(0, 4 * 86400)))
    near = st.integers(-20 * 86400, 20 * 86400).map(lambda seconds: change + timedelta(seconds=seconds))
    timetable = TimetableSpec(*draw(st.one_of(crons, intervals, deltas, near_dates(near))))
    dates = sorted([draw(st.none() | near) or datetime.min.replace(tzinfo=UTC), draw(near)])
    start = dates[0] if dates[0].year > 1 else None
    end = draw(st.sampled_from([None, dates[1]]))
    spec = DagSpec("d", timezone=zone, dst=draw(st.sampled_from(list(DstRule))), timetable=timetable,
                   start_date=start, end_date=end)  # fmt: skip
    return Case(spec, begin, begin + SPAN)


crons = st.tuples(
    st.just("crons"),
    st.lists(st.sampled_from(EXPRESSIONS), min_size=1, max_size=3, unique=True).map(
        lambda e: {"expressions": e}
    ),
)
intervals = st.tuples(st.just("cron_interval"), st.sampled_from(EXPRESSIONS).map(lambda e: {"expression": e}))
deltas = st.tuples(
    st.sampled_from(["delta", "delta_interval"]),
    st.one_of(st.integers(1800, 900_000), st.floats(1800, 90_000)).map(lambda seconds: {"seconds": seconds}),
)


def near_dates(near: st.SearchStrategy[datetime]) -> st.SearchStrategy[tuple[str, Mapping[str, Any]]]:
    texts = near.map(datetime.isoformat)
    return st.tuples(
        st.just("dates"), st.lists(texts, min_size=1, max_size=12).map(lambda dates: {"dates": dates})
    )


@settings(max_examples=150, deadline=None)
@given(cases())
def test_the_ticks_of_a_window_are_those_of_the_oracle(case: Case) -> None:
    timetable, found, tick = case.timetable, [], case.timetable.next_after(case.begin)
    while tick is not None and tick <= case.end:
        found.append((tick, timetable.logical_date(tick)))
        tick = timetable.next_after(tick)
    assert found == all_ticks(case)


@settings(max_examples=150, deadline=None)
@given(cases(), st.floats(0, 1))
def test_next_and_latest_agree_on_any_moment(case: Case, part: float) -> None:
    ticks = [tick for tick, _ in all_ticks(case)]
    timetable, moment = case.timetable, case.begin + SPAN * part
    before = [tick for tick in ticks if tick <= moment]
    after = [tick for tick in ticks if tick > moment]
    if after:
        assert timetable.next_after(moment) == after[0]
    if before:
        assert timetable.latest(moment) == before[-1]
    tick = timetable.next_after(moment)
    if tick is not None:
        assert tick > moment
        assert timetable.latest(tick) == tick
        assert timetable.next_after(tick - INSTANT) == tick
        assert timetable.latest(tick - INSTANT) == timetable.latest(moment)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_intervals_of_neighbours_touch_and_points_are_empty(case: Case) -> None:
    timetable = case.timetable
    assert case.spec.timetable is not None
    is_interval = case.spec.timetable.kind.endswith("interval")
    ticks = [tick for tick, _ in all_ticks(case)]
    for tick in ticks:
        start, end = timetable.interval_of(tick)
        assert (start, end) == (timetable.logical_date(tick), tick)
        assert (start < end) is is_interval
    if is_interval:
        assert all(timetable.logical_date(later) == earlier for earlier, later in pairwise(ticks))


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(1, 5))
def test_catching_up_bit_by_bit_makes_every_tick_once(case: Case, most: int) -> None:
    ticks = [tick for tick, _ in all_ticks(case) if tick > case.begin]
    cursor = Cursor(case.begin, None, is_new=True)
    made: list[datetime] = []
    for _ in range(len(ticks) // most + 2):
        due = due_ticks(case.timetable, cursor, case.end, catchup=True, most=most)
        made += due.ticks
        cursor = Cursor(made[-1] if made else case.begin, due.following)
    assert made == ticks


@settings(max_examples=100, deadline=None)
@given(cases())
def test_without_catching_up_at_most_the_latest_tick_is_made_up_for(case: Case) -> None:
    ticks = [tick for tick, _ in all_ticks(case)]
    cursor = Cursor(None, case.timetable.next_after(case.begin))
    due = due_ticks(case.timetable, cursor, case.end, catchup=False, most=9)
    assert list(due.ticks) == ticks[-1:]
    assert due.following == case.timetable.next_after(case.end)
