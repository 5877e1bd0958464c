"""Pause: nothing new starts, what runs goes on, and unpausing says first what is due."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.harness import spec_of

from orch.domain.dagspec import DagSpec
from orch.errors import NotFound
from orch.operations.pause import due_when_unpaused, pause, unpause


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
    assert unpause(services, me, "d").due == (latest,)
    engine.run()
    assert engine.value("SELECT run_id FROM dag_run") == f"scheduled__{latest.isoformat()}"


def test_with_catchup_all_missed_ticks_are_shown_and_then_made(engine, services, me):
    start = datetime(2023, 12, 30, tzinfo=UTC)
    spec = DagSpec("d", spec_of({"a": ""}).tasks, schedule="@daily", start_date=start, catchup=True)
    engine.add_dag(spec, paused=True)
    engine.run()
    with engine.store.read() as tx:
        due = due_when_unpaused(tx, "d")
    assert due == tuple(start + timedelta(days=n) for n in range(3))
    assert unpause(services, me, "d").due == due
    engine.run()
    assert engine.value("SELECT COUNT(*) FROM dag_run") == 3


def test_a_dag_without_schedule_has_nothing_due(engine, services, me):
    engine.add_dag(spec_of({"a": ""}), paused=True)
    assert unpause(services, me, "d").due == ()
