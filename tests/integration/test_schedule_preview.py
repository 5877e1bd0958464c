"""Preview of a schedule from the database: which runs, which sentences, which mistakes."""

from datetime import UTC, date, datetime, timedelta

import pytest
from tests.integration.harness import spec_of

from orch.cli.commands.schedule import as_document, lines
from orch.domain.dagspec import DagSpec, TimetableSpec
from orch.errors import BadInput, NotFound
from orch.operations.schedule import ScheduleQuestion, preview_schedule

TASKS = spec_of({"a": ""}).tasks
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def ask(engine):
    def ask(dag_id="d", **question):
        with engine.store.read() as tx:
            return preview_schedule(tx, ScheduleQuestion(dag_id, **question))

    return ask


def dates(answer):
    return [run.logical_date for run in answer.runs.runs]


def test_without_dates_the_next_ten_runs_from_now_on_are_shown(engine, ask):
    engine.add_dag(DagSpec("d", TASKS, schedule="0 * * * *"))
    assert dates(ask()) == [NOON + timedelta(hours=n) for n in range(1, 11)]
    assert ask().remarks == ()


def test_the_next_run_of_a_schedule_of_intervals_stands_for_the_interval_that_is_open_now(engine, ask):
    kind = TimetableSpec("cron_interval", {"expression": "0 0 * * *"})
    engine.add_dag(DagSpec("d", TASKS, schedule="@daily", timetable=kind))
    assert dates(ask(most=2)) == [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)]


def test_days_count_from_their_first_moment_to_their_last_in_the_zone_of_the_dag(engine, ask):
    engine.add_dag(DagSpec("d", TASKS, schedule="0 * * * *", timezone="Asia/Kolkata"))
    found = dates(ask(first=date(2024, 5, 1), last=date(2024, 5, 2)))
    assert (len(found), found[0]) == (48, datetime(2024, 4, 30, 18, 30, tzinfo=UTC))


def test_an_end_before_the_next_run_shows_none(engine, ask):
    engine.add_dag(DagSpec("d", TASKS, schedule="@daily"))
    answer = ask(last=NOON + timedelta(hours=3))
    assert (dates(answer), answer.remarks) == ([], ("its schedule makes no run there",))


@pytest.mark.parametrize(
    ("values", "remark"),
    [
        ({}, "it has no schedule; `orch trigger d` makes a run by hand"),
        ({"schedule": "@once"}, "it runs once, as soon as a scheduler sees it"),
        (
            {"schedule": "@daily", "end_date": NOON - timedelta(days=9)},
            "its schedule ended with end_date 2023-12-23",
        ),
        (
            {"schedule": "@continuous", "timetable": TimetableSpec("continuous")},
            "each run begins when the one before has ended",
        ),
    ],
)
def test_a_schedule_without_runs_to_come_is_explained(engine, ask, values, remark):
    engine.add_dag(DagSpec("d", TASKS, **values))
    answer = ask()
    assert dates(answer) == []
    assert answer.remarks[0].startswith(remark)


def test_a_schedule_of_one_run_shows_it_until_it_is_made(engine, ask):
    start = NOON + timedelta(days=1)
    engine.add_dag(DagSpec("d", TASKS, schedule="@once", start_date=start))
    assert dates(ask()) == [start]
    engine.run()
    engine.clock.advance(days=2)
    engine.run()
    assert (dates(ask()), ask().remarks) == ([], ("it runs once, and has had its run",))


def test_a_paused_dag_shows_its_runs_and_that_it_gets_none(engine, ask):
    engine.add_dag(DagSpec("d", TASKS, schedule="@daily"), paused=True)
    answer = ask(most=1)
    assert len(dates(answer)) == 1
    assert answer.remarks == ("it is paused and gets no run before `orch unpause d`",)


def test_a_bad_question_names_the_mistake(engine, ask):
    engine.add_dag(DagSpec("d", TASKS, schedule="@daily"))
    with pytest.raises(BadInput, match="-n is 0; it must be from 1 to 100000"):
        ask(most=0)
    with pytest.raises(BadInput, match="exchange them"):
        ask(first=date(2024, 5, 2), last=date(2024, 5, 1))
    with pytest.raises(NotFound, match="did you mean 'd'"):
        ask("dd")


def test_lines_and_json_tell_the_same(engine, ask):
    engine.add_dag(
        DagSpec("d", TASKS, schedule="30 2 * * *", timezone="Europe/Berlin", dst="skip", jitter_seconds=60)
    )
    answer = ask(first=date(2024, 3, 30), last=date(2024, 4, 1))
    document = as_document(answer)
    assert [(run["local"], run["weekday"]) for run in document["runs"]] == [
        ("2024-03-30T02:30:00+01:00", "Sat"),
        ("2024-04-01T02:30:00+02:00", "Mon"),
    ]
    assert document["without_run"][0]["first"] == "2024-03-31T02:30:00"
    head, *rows = lines(answer)
    assert head == "d: 30 2 * * * in zone Europe/Berlin, clock changes by the rule skip"
    assert rows[0].startswith("Sat 2024-03-30 02:30:00+01:00  runs at Sat 2024-03-30 02:30:")
    assert rows[1] == "Sun 2024-03-31 02:30:00  no run: the clock skips it"
