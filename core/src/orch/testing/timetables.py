"""The contract of timetables as a test class, for the packages that bring a kind of timetable."""

import json
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from orch.hookspecs import Timetable, TimetableContext, TimetableError, TimetableKind

INSTANT = timedelta(microseconds=1)
BUDGET_SECONDS = 0.1
MOST_TICKS = 200

MOMENTS = tuple(
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in (
        "1999-12-31T23:59:59.999999",
        "2011-12-30T09:59:59",
        "2020-02-29T12:00:00.000001",
        "2024-01-01T00:00:00",
        "2024-03-31T00:59:59",
        "2024-10-27T00:30:00",
        "2026-07-14T15:16:17.181920",
    )
)
"""Moments that timetables are asked about: ends of years, leap days, changes of clocks, and plain ones."""


class TimetableContract:
    """What every timetable promises. Subclass it as `TestNAME` and override the fixtures `kind` and `arguments`.

    A timetable without fixed ticks, where any moment may be one, says so with `has_fixed_ticks = False`.
    """

    has_fixed_ticks = True

    @pytest.fixture
    def kind(self) -> TimetableKind:
        """Return the kind as the plugin registers it."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture 'kind'")

    @pytest.fixture
    def arguments(self) -> Mapping[str, Any]:
        """Return arguments that a DAG file may give, plain JSON."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture 'arguments'")

    @pytest.fixture
    def bad_arguments(self) -> Sequence[Mapping[str, Any]]:
        """Return arguments that must be refused, each for a reason of its own."""
        return ()

    @pytest.fixture
    def context(self) -> TimetableContext:
        """Return what the kind may know of the DAG."""
        return TimetableContext()

    @pytest.fixture
    def moments(self) -> Sequence[datetime]:
        """Return the moments that the timetable is asked about."""
        return MOMENTS

    @pytest.fixture
    def timetable(
        self, kind: TimetableKind, arguments: Mapping[str, Any], context: TimetableContext
    ) -> Timetable:
        """Return the timetable under test."""
        return kind.factory(arguments, context)

    def test_the_next_tick_is_later(self, timetable: Timetable, moments: Sequence[datetime]) -> None:
        """A schedule always goes on, or ends."""
        for moment in moments:
            tick = timetable.next_after(moment)
            if tick is not None:
                _must_be_utc(tick, f"next_after({moment})")
                _must(tick > moment, f"next_after({moment}) returned {tick}, which is not later")

    def test_the_latest_tick_is_not_later(self, timetable: Timetable, moments: Sequence[datetime]) -> None:
        """What is made up for has come."""
        for moment in moments:
            tick = timetable.latest(moment)
            if tick is not None:
                _must_be_utc(tick, f"latest({moment})")
                _must(tick <= moment, f"latest({moment}) returned {tick}, which is later")

    def test_no_tick_is_passed_over(self, timetable: Timetable, moments: Sequence[datetime]) -> None:
        """Whenever a scheduler asks between two ticks, it hears of the same next one and the same last one."""
        if not self.has_fixed_ticks:
            pytest.skip("any moment may be a tick")
        for moment in moments:
            tick, last = timetable.next_after(moment), timetable.latest(moment)
            for other in _between(moment, tick):
                found = timetable.next_after(other)
                _must(found == tick, f"next_after({other}) is {found}, and next_after({moment}) {tick}")
                found = timetable.latest(other)
                _must(
                    found == last,
                    f"latest({other}) is {found}, though {tick} is the first tick after {moment}",
                )

    def test_a_tick_is_its_own_latest_tick(self, timetable: Timetable, moments: Sequence[datetime]) -> None:
        """Both directions know the same ticks."""
        for tick in _ticks(timetable, moments):
            found = timetable.latest(tick)
            _must(found == tick, f"{tick} is a tick, but latest({tick}) is {found}")

    def test_backwards_come_the_same_ticks(self, timetable: Timetable, moments: Sequence[datetime]) -> None:
        """A backfill may run in either order."""
        if not self.has_fixed_ticks:
            pytest.skip("any moment may be a tick")
        for moment in moments:
            ticks = _ticks(timetable, [moment])
            for earlier, later in pairwise(ticks):
                found = timetable.latest(later - INSTANT)
                _must(found == earlier, f"before {later} comes {earlier}, but latest() says {found}")

    def test_the_interval_is_a_span_of_time(self, timetable: Timetable, moments: Sequence[datetime]) -> None:
        """Its start is not after its end."""
        for tick in _ticks(timetable, moments):
            start, end = timetable.interval_of(tick)
            _must_be_utc(start, f"the start of interval_of({tick})")
            _must_be_utc(end, f"the end of interval_of({tick})")
            _must(start <= end, f"interval_of({tick}) ends at {end}, before its start {start}")

    def test_the_logical_date_is_not_after_the_tick(
        self, timetable: Timetable, moments: Sequence[datetime]
    ) -> None:
        """A run stands for something that has begun."""
        for tick in _ticks(timetable, moments):
            date = timetable.logical_date(tick)
            _must_be_utc(date, f"logical_date({tick})")
            _must(date <= tick, f"logical_date({tick}) is {date}, after the tick")

    def test_logical_dates_grow(self, timetable: Timetable, moments: Sequence[datetime]) -> None:
        """Two runs of a schedule never stand for the same date."""
        for moment in moments:
            dates = [timetable.logical_date(tick) for tick in _ticks(timetable, [moment])]
            grow = all(one < other for one, other in pairwise(dates))
            _must(grow, f"the logical dates of the ticks after {moment} do not grow")

    def test_the_same_question_has_the_same_answer(
        self,
        kind: TimetableKind,
        arguments: Mapping[str, Any],
        context: TimetableContext,
        moments: Sequence[datetime],
    ) -> None:
        """Two schedulers, or one after a restart, agree."""
        one, other = kind.factory(arguments, context), kind.factory(arguments, context)
        asked = [*moments, *moments]
        answers = [(one.next_after(moment), one.latest(moment)) for moment in asked]
        again = [(other.next_after(moment), other.latest(moment)) for moment in reversed(asked)]
        _must(answers == again[::-1], "the same questions to two timetables of the same arguments differ")

    def test_each_call_is_quick(self, timetable: Timetable, moments: Sequence[datetime]) -> None:
        """A scheduler waits for it."""
        for moment in moments:
            for ask in (timetable.next_after, timetable.latest):
                ask(moment)  # what is imported or prepared once does not count
                began = time.perf_counter()
                ask(moment)
                took = time.perf_counter() - began
                _must(took <= BUDGET_SECONDS, f"{ask.__name__}({moment}) took {took:.2f} s")

    def test_its_arguments_are_json_and_left_as_they_are(
        self, kind: TimetableKind, arguments: Mapping[str, Any], context: TimetableContext
    ) -> None:
        """They are stored with the DAG, and used again."""
        _must(json.loads(json.dumps(arguments)) == dict(arguments), "the arguments are not plain JSON")
        before = deepcopy(dict(arguments))
        kind.factory(arguments, context)
        _must(dict(arguments) == before, "the factory changed its arguments")

    def test_its_words_are_a_text(self, kind: TimetableKind, arguments: Mapping[str, Any]) -> None:
        """People read them in lists."""
        if kind.describe is not None:
            words: object = kind.describe(arguments)
            _must(isinstance(words, str) and bool(words.strip()), f"describe returned {words!r}")

    def test_bad_arguments_are_refused_in_a_sentence(
        self, kind: TimetableKind, bad_arguments: Sequence[Mapping[str, Any]], context: TimetableContext
    ) -> None:
        """The author of a DAG reads what is wrong when the file is imported."""
        for bad in bad_arguments:
            with pytest.raises(TimetableError) as caught:
                kind.factory(bad, context)
            _must(
                " " in str(caught.value), f"{bad} are refused with {str(caught.value)!r}; say what is wrong"
            )


def _ticks(timetable: Timetable, moments: Sequence[datetime]) -> list[datetime]:
    """Return the ticks that follow each of these moments."""
    found = []
    for moment in moments:
        tick = timetable.next_after(moment)
        for _ in range(MOST_TICKS // len(moments) + 1):
            if tick is None:
                break
            found.append(tick)
            tick = timetable.next_after(tick)
    return found


def _between(moment: datetime, tick: datetime | None) -> list[datetime]:
    """Return moments from `moment` up to the one just before its next tick."""
    if tick is None:
        return [moment + timedelta(days=days) for days in (0, 1, 400)]
    return [moment, moment + (tick - moment) / 2, tick - INSTANT]


def _must_be_utc(moment: object, what: str) -> None:
    is_utc = isinstance(moment, datetime) and moment.utcoffset() == timedelta(0)
    _must(is_utc, f"{what} is {moment!r}; every moment is an aware datetime in UTC")


def _must(holds: bool, sentence: str) -> None:
    """Fail the test with a sentence for the author of the timetable, who does not read this file."""
    if not holds:
        pytest.fail(sentence, pytrace=False)
