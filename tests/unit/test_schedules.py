"""Schedules as authors write them: what each becomes for the scheduler, and what is refused in which words."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import orch
from orch import DAG, DagDefinitionError, timetables
from orch.authoring.timetables import AIRFLOW_NAMES, CLASSES
from orch.domain.dagspec import DagSpec, TimetableSpec
from orch.domain.timetables import BUILT_IN, timetable_of
from orch.timetables import (
    Continuous,
    CronInterval,
    Dates,
    Delta,
    DeltaInterval,
    PluginTimetable,
    SeveralCrons,
)

DAY = datetime(2024, 12, 24)
MISTAKE: Any = 60
TEXT: Any = "2024-12-24"


def spec_of(schedule: Any, **values: Any) -> DagSpec:
    return DAG("x", schedule=schedule, **values).to_spec()


def error_of(schedule: Any, **values: Any) -> str:
    with pytest.raises(DagDefinitionError) as caught:
        DAG("x", schedule=schedule, **values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("schedule", "words", "kind", "arguments"),
    [
        ("@continuous", "@continuous", "continuous", {}),
        (Continuous(), "@continuous", "continuous", {}),
        (timedelta(hours=6), "every 6 hours", "delta", {"seconds": 21600}),
        (Delta(timedelta(seconds=1.5)), "every 1.5 seconds", "delta", {"seconds": 1.5}),
        (DeltaInterval(timedelta(days=1)), "every day (interval)", "delta_interval", {"seconds": 86400}),
        (CronInterval(" 0  6 * * *"), "0 6 * * * (interval)", "cron_interval", {"expression": "0 6 * * *"}),
        (
            ["0 18 * * *", "0 6 * * *", "0  6 * * *"],
            "0 18 * * * and 0 6 * * *",
            "crons",
            {"expressions": ["0 18 * * *", "0 6 * * *"]},
        ),
        ([DAY, DAY], "on 2024-12-24 00:00", "dates", {"dates": ["2024-12-24T00:00:00+00:00"]}),
        (
            PluginTimetable("workdays", hour=6, holidays=("2024-12-25",)),
            'workdays(holidays=["2024-12-25"], hour=6)',
            "workdays",
            {"hour": 6, "holidays": ["2024-12-25"]},
        ),
    ],
)
def test_a_schedule_has_words_and_a_kind(schedule: Any, words: str, kind: str, arguments: Any) -> None:
    spec = spec_of(schedule)
    assert (spec.schedule, spec.timetable) == (words, TimetableSpec(kind, arguments))
    assert DagSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "schedule", [None, "@once", "0 6 * * *", ["0 6 * * *"], SeveralCrons(("0 6 * * *",))]
)
def test_a_schedule_that_a_word_says_needs_no_kind(schedule: Any) -> None:
    assert spec_of(schedule).timetable is None


def test_every_kind_of_core_has_its_class_and_every_class_is_public() -> None:
    assert sorted(CLASSES) == sorted(BUILT_IN)
    assert sorted([*CLASSES.values(), "PluginTimetable"]) == sorted(timetables.__all__)


def test_dates_without_a_zone_are_read_in_that_of_the_dag() -> None:
    aware = datetime(2024, 7, 1, 12, tzinfo=ZoneInfo("Asia/Tokyo"))
    spec = spec_of(Dates([DAY, aware]), timezone="Europe/Berlin")
    assert spec.timetable == TimetableSpec(
        "dates", {"dates": ["2024-07-01T03:00:00+00:00", "2024-12-23T23:00:00+00:00"]}
    )
    assert spec.schedule == "2 dates, 2024-07-01 05:00 to 2024-12-24 00:00"


def test_a_continuous_dag_has_one_run_at_a_time() -> None:
    assert spec_of("@continuous").max_active_runs == 1
    assert spec_of("@continuous", max_active_runs=1).max_active_runs == 1
    assert error_of("@continuous", max_active_runs=3) == (
        "DAG 'x': schedule '@continuous' has one run at a time; leave max_active_runs out or make it 1, not 3"
    )


def test_the_rule_of_the_dag_reaches_its_timetable() -> None:
    spec = spec_of("30 2 * * *", timezone="Europe/Berlin", dst="skip")
    tick = timetable_of(spec).next_after(datetime(2024, 3, 31, tzinfo=UTC))
    assert tick == datetime(2024, 4, 1, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (
            5,
            "schedule 5: it must be None, a cron expression such as '0 6 * * *', '@once', '@continuous', a timedelta,",
        ),
        (5, "; for a rhythm write timedelta(seconds=5)"),
        (True, "or a timetable of orch.timetables"),
        (b"0 6 * * *", "it must be None"),
        (object(), "it must be None"),
        (DAY, "; for one run put it into a list, [datetime(...)]"),
        (date(2024, 12, 24), "; write a list of datetimes, [datetime(2024, 12, 24)]"),
        ({"0 6 * * *"}, "; a set has no order, make it a list"),
        ([], "; the list is empty: leave the schedule out for a DAG that runs by hand only"),
        (
            ["0 6 * * *", DAY],
            "the list mixes cron expressions and datetimes; make two DAGs, or one of the two",
        ),
        ([DAY, 5], "a list holds cron expressions or datetimes, not 5"),
        ([date(2024, 12, 24)], "; write a list of datetimes, [datetime(2024, 12, 24)]"),
        (["0 6 * * *", "61 * * * *"], "bad cron expression '61 * * * *', column 1: minute 61 is not in 0-59"),
        (["0 6 * * *", "@once"], "'@once' is no cron expression; it is a schedule by itself"),
        ("@continous", "did you mean '@continuous'?"),
        ("", "schedule ''"),
        (Continuous, "; Continuous is a class, write Continuous(...)"),
        (timedelta(0), "a delta is from 1 second to 36,500 days long, not 0:00:00"),
        (timedelta(hours=-1), "a delta is from 1 second"),
        (Delta(MISTAKE), "a delta is a timedelta such as timedelta(hours=6), not 60"),
        (DeltaInterval(timedelta(milliseconds=999)), "schedule DeltaInterval(delta=datetime.timedelta("),
        (CronInterval("0 25 * * *"), "column 3: hour 25 is not in 0-23"),
        (CronInterval("@once"), "'@once' is no cron expression"),
        (CronInterval(MISTAKE), "a cron expression is a text such as '0 6 * * *', not 60"),
        (SeveralCrons("0 6 * * *"), "several crons are a list of texts, not '0 6 * * *'"),
        (SeveralCrons([]), "the list is empty; name an expression"),
        (Dates([]), "the list has 0 dates; it takes 1 to 10,000"),
        (
            Dates([DAY + timedelta(n) for n in range(10_001)]),
            "the list has 10,001 dates; it takes 1 to 10,000",
        ),
        (Dates(MISTAKE), "dates are a list of datetimes, not 60"),
        (Dates([TEXT]), "a date is a datetime such as datetime(2024, 12, 24), not '2024-12-24'"),
        (PluginTimetable("delta", seconds=5), "'delta' is a kind of core; write Delta(...)"),
        (PluginTimetable(" "), "the name of the timetable is empty"),
        (PluginTimetable("moon", phase=DAY), "argument 'phase' is not plain JSON"),
        (PluginTimetable("moon", phase=float("nan")), "argument 'phase' is not plain JSON"),
    ],
)
def test_an_impossible_schedule_is_refused_with_the_remedy(schedule: Any, message: str) -> None:
    error = error_of(schedule)
    assert error.startswith("DAG 'x': schedule ")
    assert message in error


def test_a_date_before_the_calendar_of_utc_is_refused() -> None:
    assert "is out of range" in error_of([datetime(1, 1, 1)], timezone="Asia/Tokyo")


@pytest.mark.parametrize("name", AIRFLOW_NAMES)
def test_a_name_that_people_know_from_airflow_is_answered_with_ours(name: str) -> None:
    with pytest.raises(DagDefinitionError, match=f"'{name}' is not in orch.timetables; its equivalent is "):
        getattr(timetables, name)
    assert AIRFLOW_NAMES[name] in error_of(type(name, (), {})())


def test_a_misspelt_timetable_is_answered_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean 'CronInterval'"):
        _ = timetables.CronIntervall


def test_timetables_of_plugins_are_compared_by_their_arguments() -> None:
    assert PluginTimetable("moon", phase=1) == PluginTimetable("moon", phase=1)
    assert len({PluginTimetable("moon", phase=1), PluginTimetable("moon", phase=1)}) == 1
    assert PluginTimetable("moon", phase=1) != PluginTimetable("moon", phase=2)
    assert repr(PluginTimetable("moon", phase=1)) == "PluginTimetable('moon', phase=1)"


DYNAMIC = """
from datetime import datetime
from orch import DAG
from orch.timetables import Dates, PluginTimetable
names = {"b", "a", "d", "c"}
print(DAG("x", schedule=[f"0 {n} * * *" for n in {"6", "7", "8", "9"}]).to_spec().structure_hash)
print(DAG("x", schedule=list({datetime(2024, 1, n) for n in range(1, 9)})).to_spec().structure_hash)
print(DAG("x", schedule=PluginTimetable("moon", **{n: 1 for n in names})).to_spec().structure_hash)
"""


def test_a_file_that_computes_its_schedule_has_the_same_hash_at_each_parse() -> None:
    def parse(seed: str) -> str:
        command = [sys.executable, "-c", DYNAMIC]
        done = subprocess.run(
            command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert len({parse(seed) for seed in ("1", "2", "3")}) == 1


def test_the_face_shows_the_module() -> None:
    assert orch.timetables is timetables
