"""The kinds of core keep the contract of timetables, and the contract finds those that do not."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from orch.domain.timetables import BUILT_IN, KINDS_OF_CORE
from orch.hookspecs import TimetableContext, TimetableError, TimetableKind
from orch.testing.timetables import MOMENTS, TimetableContract

START = datetime(2024, 2, 29, 7, 30, tzinfo=UTC)
CASES: Mapping[str, tuple[Mapping[str, Any], list[Mapping[str, Any]]]] = {
    "cron_interval": ({"expression": "30 2 * * *"}, []),
    "crons": ({"expressions": ["30 2 * * *", "0 * * * mon", "0 0 30 12 *"]}, [{"expressions": []}]),
    "delta": ({"seconds": 90.5}, [{"seconds": 0.999}]),
    "delta_interval": ({"seconds": 86400}, [{"seconds": -5}]),
    "dates": ({"dates": ["2024-03-31T00:30:00+00:00", "2026-01-01T00:00:00+02:00"]}, [{"dates": []}]),
}


def test_every_kind_is_tested_and_its_name_taken() -> None:
    assert sorted([*CASES, "continuous"]) == sorted(BUILT_IN)
    assert set(BUILT_IN) == KINDS_OF_CORE


class TestKindsOfCore(TimetableContract):
    @pytest.fixture(params=CASES)
    def name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture(params=["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"])
    def zone(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def kind(self, name: str) -> TimetableKind:
        return TimetableKind(name, BUILT_IN[name])

    @pytest.fixture
    def arguments(self, name: str) -> Mapping[str, Any]:
        return CASES[name][0]

    @pytest.fixture
    def bad_arguments(self, name: str) -> list[Mapping[str, Any]]:
        return CASES[name][1]

    @pytest.fixture
    def context(self, zone: str) -> TimetableContext:
        return TimetableContext(ZoneInfo(zone), start_date=START)


class TestContinuous(TimetableContract):
    has_fixed_ticks = False

    @pytest.fixture
    def kind(self) -> TimetableKind:
        return TimetableKind("continuous", BUILT_IN["continuous"])

    @pytest.fixture
    def arguments(self) -> dict[str, Any]:
        return {}


# Timetables that break it


@dataclass
class Hourly:
    """Each full hour, and what each mutant does otherwise."""

    step: timedelta = timedelta(hours=1)

    def next_after(self, moment: datetime) -> datetime | None:
        return _hour(moment) + self.step

    def latest(self, moment: datetime) -> datetime | None:
        return _hour(moment)

    def interval_of(self, tick: datetime) -> tuple[datetime, datetime]:
        return tick - self.step, tick

    def logical_date(self, tick: datetime) -> datetime:
        return tick - self.step


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def mutant(**methods: Callable[..., Any]) -> type[Hourly]:
    return type("Mutant", (Hourly,), methods)


def counting() -> Callable[..., Any]:
    """Return a next_after that remembers how often it was asked."""
    asked = iter(range(1_000_000))
    return lambda _, moment: _hour(moment) + timedelta(hours=1 + next(asked) % 2)


def slow(_: object, moment: datetime) -> datetime:
    return _hour(moment) + timedelta(hours=1 + sum(range(8_000_000)) * 0)


MUTANTS: Mapping[str, tuple[type[Hourly], str]] = {
    "standing still": (mutant(next_after=lambda _, moment: _hour(moment)), "test_the_next_tick_is_later"),
    "naive": (mutant(next_after=lambda _, m: m.replace(tzinfo=None)), "test_the_next_tick_is_later"),
    "in another zone": (
        mutant(next_after=lambda _, m: (m + timedelta(hours=1)).astimezone(ZoneInfo("Asia/Tokyo"))),
        "test_the_next_tick_is_later",
    ),
    "ahead": (
        mutant(latest=lambda _, moment: _hour(moment) + timedelta(hours=1)),
        "test_the_latest_tick_is_not_later",
    ),
    "from where it is asked": (
        mutant(next_after=lambda _, moment: moment + timedelta(hours=1)),
        "test_no_tick_is_passed_over",
    ),
    "not counting the tick itself": (
        mutant(latest=lambda _, m: _hour(m - timedelta(microseconds=1))),
        "test_a_tick_is_its_own_latest_tick",
    ),
    "half of them backwards": (
        mutant(latest=lambda _, m: _hour(m).replace(hour=m.hour - m.hour % 2)),
        "test_backwards_come_the_same_ticks",
    ),
    "upside down": (
        mutant(interval_of=lambda _, t: (t, t - timedelta(1))),
        "test_the_interval_is_a_span_of_time",
    ),
    "of tomorrow": (
        mutant(logical_date=lambda _, tick: tick + timedelta(days=1)),
        "test_the_logical_date_is_not_after_the_tick",
    ),
    "by the day": (mutant(logical_date=lambda _, t: t.replace(hour=0)), "test_logical_dates_grow"),
    "forgetful": (mutant(next_after=counting()), "test_the_same_question_has_the_same_answer"),
    "slow": (mutant(next_after=slow), "test_each_call_is_quick"),
}


def failing(timetable_class: Callable[[], Hourly], only: str | None = None) -> Iterator[str]:
    """Yield the names of the tests of the contract that this timetable fails."""
    suite, kind = TimetableContract(), TimetableKind("x", lambda _arguments, _context: timetable_class())
    given = {
        "kind": kind, "arguments": {}, "bad_arguments": (), "context": TimetableContext(), "moments": MOMENTS,
        "timetable": timetable_class(),
    }  # fmt: skip
    for name in [only] if only else [name for name in dir(suite) if name.startswith("test_")]:
        test = getattr(suite, name)
        wanted = test.__func__.__code__.co_varnames[1 : test.__func__.__code__.co_argcount]
        try:
            test(**{argument: given[argument] for argument in wanted})
        except pytest.fail.Exception:
            yield name


def test_a_good_timetable_passes() -> None:
    assert list(failing(Hourly)) == []


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name: str) -> None:
    made, test = MUTANTS[name]
    assert list(failing(made, test)) == [test]


def test_arguments_that_are_taken_in_silence_are_found() -> None:
    kind = TimetableKind("x", lambda _arguments, _context: Hourly())
    with pytest.raises(pytest.fail.Exception):
        TimetableContract().test_bad_arguments_are_refused_in_a_sentence(
            kind, [{"hour": 99}], TimetableContext()
        )


def test_a_factory_that_changes_its_arguments_is_found() -> None:
    def greedy(arguments: Any, _context: TimetableContext) -> Hourly:
        arguments.clear()
        return Hourly()

    with pytest.raises(pytest.fail.Exception, match="changed its arguments"):
        TimetableContract().test_its_arguments_are_json_and_left_as_they_are(
            TimetableKind("x", greedy), {"hour": 6}, TimetableContext()
        )


def test_words_that_are_no_text_are_found() -> None:
    kind = TimetableKind("x", lambda _arguments, _context: Hourly(), lambda _arguments: "")
    with pytest.raises(pytest.fail.Exception, match="describe returned ''"):
        TimetableContract().test_its_words_are_a_text(kind, {})


def test_a_refusal_needs_words() -> None:
    def curt(_arguments: Any, _context: TimetableContext) -> Hourly:
        raise TimetableError("no")

    with pytest.raises(pytest.fail.Exception, match="say what is wrong"):
        TimetableContract().test_bad_arguments_are_refused_in_a_sentence(
            TimetableKind("x", curt), [{}], TimetableContext()
        )
