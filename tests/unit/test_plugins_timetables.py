"""Timetables of plugins: how they are taken in, guarded, and missed."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from orch.dagfiles.acceptance import accept, parsed_file
from orch.dagfiles.results import ImportedDag, ImportResult
from orch.domain.dagspec import DagSpec, TimetableSpec
from orch.domain.timetables import PointTimetable
from orch.errors import PluginError
from orch.hookspecs import TimetableContext, TimetableError, TimetableKind, hookimpl
from orch.plugins import Plugins, PluginState
from orch.plugins.deadline import DeadlineError, deadline
from orch.plugins.discovery import Candidate
from orch.plugins.load import load_candidates
from orch.settings import PluginsSettings
from orch.store.queries.dag_files import DagLimits

NOON = datetime(2024, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHOWN = NOON.isoformat()
TOKYO = ZoneInfo("Asia/Tokyo")


class Hours(PointTimetable):
    """Each full hour."""

    def next_after(self, moment: datetime) -> datetime | None:
        return moment.replace(minute=0, second=0, microsecond=0) + HOUR

    def latest(self, moment: datetime) -> datetime | None:
        return moment.replace(minute=0, second=0, microsecond=0)


def broken(**methods: Callable[..., Any]) -> Callable[..., Any]:
    """Return a factory of timetables with other methods."""
    made = type("Broken", (Hours,), methods)()
    return lambda _arguments, _context: made


def hours(_arguments: Mapping[str, Any], _context: TimetableContext) -> Hours:
    return Hours()


class Plugin:
    """A plugin with these kinds."""

    def __init__(self, *kinds: TimetableKind) -> None:
        self.kinds = kinds

    @hookimpl
    def register_timetables(self) -> Sequence[TimetableKind]:
        return self.kinds


def plugins_of(**named: Plugin) -> Plugins:
    def giving(plugin: object) -> Callable[[], object]:
        return lambda: plugin

    candidates = [Candidate(name, f"orch_{name}.plugin", giving(plugin)) for name, plugin in named.items()]
    return load_candidates(candidates, PluginsSettings())


def spec_of(kind: str = "hours", **arguments: Any) -> DagSpec:
    return DagSpec("d", timetable=TimetableSpec(kind, arguments))


def with_factory(factory: Callable[..., Any]) -> Any:
    return plugins_of(clock=Plugin(TimetableKind("hours", factory))).timetable_of(spec_of())


def test_a_kind_of_a_plugin_makes_the_timetable_of_a_dag() -> None:
    assert with_factory(hours).next_after(NOON) == NOON + HOUR
    assert with_factory(hours).interval_of(NOON) == (NOON, NOON)


def test_the_factory_is_told_of_the_dag() -> None:
    seen: list[Any] = []

    def factory(arguments: Mapping[str, Any], context: TimetableContext) -> Hours:
        seen.extend([arguments, context])
        return Hours()

    spec = DagSpec(
        "d", timezone="Asia/Tokyo", dst="skip", start_date=NOON, timetable=TimetableSpec("hours", {"a": 1})
    )
    plugins_of(clock=Plugin(TimetableKind("hours", factory))).timetable_of(spec)
    assert seen == [{"a": 1}, TimetableContext(ZoneInfo("Asia/Tokyo"), "skip", NOON)]  # type: ignore[arg-type]  # equal


def test_two_plugins_with_one_kind_are_named() -> None:
    with pytest.raises(PluginError, match="plugins 'one' and 'two' both bring the timetable 'hours'"):
        plugins_of(one=Plugin(TimetableKind("hours", hours)), two=Plugin(TimetableKind("hours", hours)))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (TimetableKind("delta", hours), "timetable 'delta' is a kind of core; choose another name"),
        (TimetableKind("Work Days", hours), "timetable 'Work Days': use small letters and digits"),
        (TimetableKind("hours", None), "timetable 'hours': factory None is not a function"),  # type: ignore[arg-type]  # on purpose
        (TimetableKind("hours", hours, "hourly"), "timetable 'hours': describe 'hourly' is not a function"),  # type: ignore[arg-type]  # on purpose
    ],
)
def test_an_impossible_kind_sets_its_plugin_aside(kind: TimetableKind, message: str) -> None:
    (report,) = plugins_of(clock=Plugin(kind)).report
    assert report.state is PluginState.BROKEN
    assert message in (report.error or "")


def raising(_self: object, _moment: datetime) -> datetime:
    raise ZeroDivisionError("no day")


def exiting(_self: object, _moment: datetime) -> datetime:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"next_after": lambda _, m: m}, f"next_after({SHOWN}) returned {SHOWN}, which is not later"),
        ({"next_after": lambda _, m: m.replace(tzinfo=None)}, "every moment is an aware datetime in UTC"),
        ({"next_after": lambda _, m: m.astimezone(TOKYO) + HOUR}, "every moment is an aware datetime in UTC"),
        ({"next_after": lambda _, m: "tomorrow"}, "returned 'tomorrow'"),
        ({"next_after": raising}, "raised ZeroDivisionError: no day"),
        ({"next_after": exiting}, "raised SystemExit: 3"),
        ({"latest": lambda _, m: m + HOUR}, f"latest({SHOWN}) returned 2024-03-10T13:00:00+00:00, which is later"),
        ({"interval_of": lambda _, t: (t, t - HOUR)}, "before its start"),
        ({"interval_of": lambda _, t: t}, "return (start, end)"),
        ({"interval_of": lambda _, t: (None, t)}, "returned None; every moment"),
        ({"logical_date": lambda _, t: t + HOUR}, "which is after the tick"),
        ({"logical_date": lambda _, t: None}, "returned None; every moment"),
    ],
)  # fmt: skip
def test_what_breaks_the_contract_names_the_kind_and_the_plugin(methods: Any, message: str) -> None:
    timetable = with_factory(broken(**methods))
    with pytest.raises(TimetableError) as caught:
        getattr(timetable, next(iter(methods)))(NOON)
    assert str(caught.value).startswith("timetable 'hours' of plugin 'clock': ")
    assert message in str(caught.value)


def test_a_factory_must_make_a_timetable() -> None:
    with pytest.raises(TimetableError, match=r"its factory returned 5, which has no next_after\(\)"):
        with_factory(lambda _arguments, _context: 5)


def test_what_a_factory_refuses_is_passed_on() -> None:
    def picky(_arguments: object, _context: object) -> Hours:
        raise TimetableError("hour 24 is not in 0-23")

    with pytest.raises(TimetableError, match="timetable 'hours' of plugin 'clock': hour 24 is not in 0-23"):
        with_factory(picky)


def slow(_self: object, _moment: datetime) -> None:
    time.sleep(0.15)  # what a call to a server would do


def test_a_call_over_the_budget_is_an_error() -> None:
    with pytest.raises(TimetableError, match=r"next_after\(.*\) took 0\.\d\d s; it may take 0\.1 s"):
        with_factory(broken(next_after=slow)).next_after(NOON)


def test_one_slow_call_is_forgiven() -> None:
    calls: list[datetime] = []

    def importing(_self: object, moment: datetime) -> datetime:
        calls.append(moment)
        if len(calls) == 1:
            time.sleep(0.15)
        return moment + HOUR

    assert with_factory(broken(next_after=importing)).next_after(NOON) == NOON + HOUR


def test_a_call_without_end_is_ended() -> None:
    def endless(_self: object, _moment: datetime) -> None:
        while True:
            with suppress(Exception):  # such code must not swallow its end
                list(range(1000))

    with pytest.raises(TimetableError, match=r"next_after\(.*\) was ended after 1 s"):
        with_factory(broken(next_after=endless)).next_after(NOON)


@pytest.fixture
def alarms() -> Iterator[list[int]]:
    """The alarms of somebody else that have rung; that of the test runner is put back."""
    rung: list[int] = []
    handler, timer = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    signal.signal(signal.SIGALRM, lambda number, _frame: rung.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0)
    yield rung
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, *timer)


def test_the_deadline_leaves_no_alarm_behind(alarms: list[int]) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(DeadlineError), deadline(0.01):
        threading.Event().wait(5)
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)) == (before, (0.0, 0.0))
    assert alarms == []


def test_an_alarm_that_was_set_before_still_rings(alarms: list[int]) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    with pytest.raises(DeadlineError), deadline(0.01):
        threading.Event().wait(5)
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 0.5
    signal.pause()
    assert alarms == [signal.SIGALRM]


def test_an_alarm_that_comes_before_the_deadline_rings_in_the_block(alarms: list[int]) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    with deadline(5):
        signal.pause()
    assert alarms == [signal.SIGALRM]


def test_another_thread_has_no_deadline() -> None:
    ended: list[bool] = []

    def work() -> None:
        with deadline(0.001):
            ended.append(not threading.Event().wait(0.05))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]


# Words


def test_the_words_of_a_plugin_are_on_one_line() -> None:
    kind = TimetableKind("hours", hours, lambda arguments: f"each hour\n of {arguments['day']} ")
    plugins = plugins_of(clock=Plugin(kind))
    assert plugins.words_of(TimetableSpec("hours", {"day": "May"})) == "each hour of May"
    assert plugins.words_of(TimetableSpec("delta", {"seconds": 5})) is None


def test_words_that_are_no_text_are_an_error() -> None:
    plugins = plugins_of(clock=Plugin(TimetableKind("hours", hours, lambda _: None)))  # type: ignore[arg-type, return-value]  # on purpose
    with pytest.raises(TimetableError, match="describe returned None; return a text"):
        plugins.words_of(TimetableSpec("hours"))


# Acceptance of a DAG file


def imported(spec: DagSpec) -> ImportResult:
    return ImportResult("d.py", (ImportedDag(spec.dag_id, spec.to_json(), spec.structure_hash),))


def problems_of(plugins: Plugins, spec: DagSpec) -> list[str]:
    return [problem.message for problem in accept(imported(spec), plugins).problems]


CLOCK = Plugin(TimetableKind("hours", hours, lambda _: "each hour"))


def test_a_file_whose_timetable_is_known_is_accepted_in_the_words_of_the_plugin() -> None:
    plugins = plugins_of(clock=CLOCK)
    assert problems_of(plugins, spec_of()) == []
    (dag,) = parsed_file(imported(spec_of()), DagLimits(16, 16), plugins).dags
    assert (dag.spec.schedule, dag.structure) == ("each hour", spec_of().to_json())


def test_an_unknown_kind_is_answered_with_the_nearest_and_who_brings_it() -> None:
    assert problems_of(plugins_of(clock=CLOCK), spec_of("hour")) == [
        "DAG 'd': unknown timetable 'hour'; did you mean 'hours' of plugin 'clock'?"
    ]


def test_an_unknown_kind_without_a_near_one_says_what_there_is() -> None:
    assert problems_of(plugins_of(clock=CLOCK), spec_of("moon")) == [
        "DAG 'd': unknown timetable 'moon'; install the plugin that brings it (timetables of plugins here: hours)"
    ]
    assert problems_of(plugins_of(), spec_of("moon")) == [
        "DAG 'd': unknown timetable 'moon'; install the plugin that brings it (timetables of plugins here: none)"
    ]


def test_a_timetable_that_cannot_work_is_found_when_the_file_is_accepted() -> None:
    plugins = plugins_of(clock=Plugin(TimetableKind("hours", broken(next_after=raising))))
    (problem,) = problems_of(plugins, spec_of())
    assert problem.startswith("DAG 'd': timetable 'hours' of plugin 'clock': next_after(2000-01-01")


def test_a_description_that_mentions_a_timetable_is_no_timetable() -> None:
    assert problems_of(plugins_of(), DagSpec("d", description='"timetable":')) == []
