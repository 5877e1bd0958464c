"""Pause: nothing new starts, what runs goes on, and unpausing says first what is due."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.harness import spec_of, to_micros

from orch.domain.dagspec import DagSpec, TimetableSpec
from orch.domain.jitter import offset_of
from orch.errors import NotFound
from orch.operations.pause import DueRun, due_when_unpaused, pause, unpause


def test_while_paused_nothing_is_promoted_or_queued_and_what_runs_goes_on(engine, services, me):
    engine.add_dag(spec_of({"a": "", "b": "a"}))
    engine.trigger("d")
    engine.scheduler.run_once()
    assert pause(services, me, "d").changed
    engine.trigger("d", "later")
    engine.run()
    assert engine.states() == {"a": "success", "b": "scheduled"}
    assert engine.run_state("later") == "queued"
    assert unpause(services, me, "d").changed
    engine.run()
    assert engine.run_state() == engine.run_state("later") == "success"


def test_a_second_pause_changes_nothing_and_is_audited_all_the_same(engine, services, me):
    engine.add_dag(spec_of({"a": ""}))
    assert [pause(services, me, "d").changed for _ in range(2)] == [True, False]
    assert engine.value("SELECT COUNT(*) FROM audit WHERE action = 'dag.pause'") == 2
    assert engine.value("SELECT COUNT(*) FROM limit_history WHERE kind = 'pause'") == 1


def test_an_unknown_dag_is_named_with_the_nearest(engine, services, me):
    engine.add_dag(spec_of({"a": ""}, "weather"))
    with pytest.raises(NotFound, match="did you mean 'weather'"):
        pause(services, me, "wether")


def test_no_scheduled_run_is_made_while_paused_and_unpausing_makes_the_latest_one(engine, services, me):
    engine.add_dag(DagSpec("d", spec_of({"a": ""}).tasks, schedule="0 * * * *"))
    engine.run()
    pause(services, me, "d")
    engine.clock.advance(hours=5)
    engine.run()
    assert engine.value("SELECT COUNT(*) FROM dag_run") == 0
    latest = datetime(2024, 1, 1, 17, tzinfo=UTC)
    assert unpause(services, me, "d").due == (DueRun(latest, latest),)
    engine.run()
    assert engine.value("SELECT run_id FROM dag_run") == f"scheduled__{latest.isoformat()}"


def test_with_catchup_all_missed_ticks_are_shown_and_then_made(engine, services, me):
    start = datetime(2023, 12, 30, tzinfo=UTC)
    spec = DagSpec("d", spec_of({"a": ""}).tasks, schedule="@daily", start_date=start, catchup=True)
    engine.add_dag(spec, paused=True)
    engine.run()
    with engine.store.read() as tx:
        due = due_when_unpaused(tx, "d")
    assert [run.logical_date for run in due] == [start + timedelta(days=n) for n in range(3)]
    assert unpause(services, me, "d").due == due
    engine.run()
    assert engine.value("SELECT COUNT(*) FROM dag_run") == 3


def test_a_dag_without_schedule_has_nothing_due(engine, services, me):
    engine.add_dag(spec_of({"a": ""}), paused=True)
    assert unpause(services, me, "d").due == ()


def test_an_interval_is_shown_by_its_start_and_the_time_of_its_run(engine, services, me):
    daily = TimetableSpec("cron_interval", {"expression": "0 0 * * *"})
    spec = DagSpec("d", spec_of({"a": ""}).tasks, timetable=daily, jitter_seconds=600)
    engine.add_dag(spec)
    engine.run()
    pause(services, me, "d")
    engine.clock.advance(days=3)
    (run,) = unpause(services, me, "d").due
    end = datetime(2024, 1, 4, tzinfo=UTC)
    assert run == DueRun(end - timedelta(days=1), end + offset_of("d", timedelta(minutes=10)))
    engine.run()
    assert engine.value("SELECT logical_date FROM dag_run") == to_micros(run.logical_date)
    assert engine.value("SELECT run_after FROM dag_run") == to_micros(run.run_after)


def test_a_continuous_dag_has_nothing_due_while_a_run_of_it_is_open(engine, services, me):
    engine.add_dag(
        DagSpec("d", spec_of({"a": ""}).tasks, timetable=TimetableSpec("continuous"), max_active_runs=1)
    )
    engine.scheduler.run_once()
    engine.clock.advance(minutes=1)
    engine.scheduler.run_once()
    engine.clock.advance(minutes=1)
    pause(services, me, "d")
    assert unpause(services, me, "d").due == ()
    engine.work()
    engine.scheduler.run_once()
    pause(services, me, "d")
    (run,) = unpause(services, me, "d").due
    assert abs(run.logical_date - engine.clock.now) < timedelta(seconds=1)


def test_a_new_continuous_dag_shows_the_run_that_begins_at_once(engine):
    engine.add_dag(
        DagSpec("d", spec_of({"a": ""}).tasks, timetable=TimetableSpec("continuous"), max_active_runs=1),
        paused=True,
    )
    with engine.store.read() as tx:
        (run,) = due_when_unpaused(tx, "d")
    assert abs(run.logical_date - engine.clock.now) <= timedelta(seconds=1)


def test_a_schedule_that_cannot_be_read_is_told_and_does_not_keep_the_dag_paused(engine, services, me):
    engine.add_dag(DagSpec("d", spec_of({"a": ""}).tasks, timetable=TimetableSpec("moon")), paused=True)
    result = unpause(services, me, "d")
    assert (result.changed, result.due) == (True, ())
    assert "unknown timetable 'moon'" in (result.schedule_error or "")
