"""Steps of the clock: no date of a backfill and no tick of a schedule is lost or doubled by them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.harness import spec_of, to_micros

from orch.domain.backfills import BackfillState
from orch.domain.dagspec import DagSpec, TimetableSpec
from orch.operations import backfill as operations
from orch.operations.backfill_plan import BackfillRequest
from orch.operations.pause import pause, unpause
from orch.scheduler.service import Scheduler
from orch.store.queries import backfills, cursors

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def dag_of(schedule: str = "0 * * * *", **values) -> DagSpec:
    return replace(spec_of({"a": ""}), schedule=schedule, **values)


def dates_of(engine):
    with engine.store.read() as tx:
        return [at for (at,) in tx.rows("SELECT logical_date FROM dag_run ORDER BY logical_date")]


@pytest.fixture(params=[True, False], ids=["catchup", "latest"])
def hourly(engine, request):
    """An hourly DAG that has had its tick at noon, half an hour ago."""
    engine.clock.now = NOON - timedelta(minutes=30)
    engine.add_dag(dag_of(catchup=request.param, start_date=NOON))
    for _ in range(2):
        engine.run()
        engine.clock.advance(minutes=30)
    assert dates_of(engine) == [to_micros(NOON)]


def step(engine, by: timedelta) -> None:
    engine.clock.now += by
    engine.run(rounds=5000)


def hours_go_by(engine, count: int) -> None:
    for _ in range(count):
        step(engine, HOUR)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_backfill_keeps_its_dates_while_the_clock_is_behind(engine, services, me, backwards):
    engine.add_dag(dag_of("* * * * *"))
    first, last = NOON - timedelta(minutes=30), NOON - timedelta(minutes=1)
    request = BackfillRequest("d", first, last, max_active_runs=5, backwards=backwards)
    operations.create(services, me, request)
    engine.scheduler.run_once()
    engine.clock.advance(minutes=-20)
    engine.run()
    engine.clock.advance(minutes=20)
    engine.run()
    with engine.store.read() as tx:
        row = backfills.find(tx, 1)
    assert row is not None
    assert (row.state, row.dates) == (BackfillState.COMPLETED, 30)
    assert engine.value("SELECT COUNT(DISTINCT logical_date) FROM dag_run WHERE backfill_id = 1") == 30


@pytest.mark.usefixtures("hourly")
def test_a_schedule_goes_on_after_the_clock_was_a_year_ahead_for_a_round(engine, caplog):
    engine.clock.advance(days=365)
    engine.scheduler.run_once()
    caplog.clear()
    step(engine, timedelta(days=-365))
    assert caplog.text.count("DAG d: the clock was put back") == 1
    engine.check()
    hours_go_by(engine, 5)
    dates = dates_of(engine)
    assert set(dates) >= {to_micros(NOON + n * HOUR) for n in range(6) if n}
    assert len(dates) == len(set(dates))
    assert caplog.text.count("the clock was put back") == 1


@pytest.mark.usefixtures("hourly")
def test_runs_made_ahead_are_found_when_their_ticks_come(engine):
    step(engine, 5 * HOUR)
    step(engine, -5 * HOUR)
    for _ in range(8):
        step(engine, HOUR)
        engine.check()
    assert set(dates_of(engine)) >= {to_micros(NOON + n * HOUR) for n in range(1, 9)}


@pytest.mark.parametrize("back", [timedelta(seconds=50), 3 * HOUR])
@pytest.mark.usefixtures("hourly")
def test_ticks_that_come_again_are_not_doubled(engine, back):
    hours_go_by(engine, 4)
    before = dates_of(engine)
    step(engine, -back)
    engine.check()
    assert dates_of(engine) == before
    hours_go_by(engine, 5)
    dates = dates_of(engine)
    assert dates == sorted({*before, *dates})
    assert dates[-1] >= before[-1] + 3_600_000_000


@pytest.mark.usefixtures("hourly")
def test_a_clock_that_stays_ahead_is_the_clock(engine, caplog):
    step(engine, timedelta(days=1))
    hours_go_by(engine, 2)
    assert "put back" not in caplog.text
    assert to_micros(NOON + timedelta(days=1) + 2 * HOUR) in dates_of(engine)


@pytest.mark.parametrize("catchup", [True, False])
def test_a_schedule_first_seen_by_a_clock_ahead_begins_now(engine, catchup):
    engine.clock.now += timedelta(days=365)
    engine.add_dag(dag_of(catchup=catchup))
    engine.run()
    step(engine, timedelta(days=-365))
    engine.check()
    hours_go_by(engine, 2)
    assert dates_of(engine) == [to_micros(NOON + n * HOUR) for n in (1, 2)]


@pytest.mark.usefixtures("hourly")
def test_a_new_scheduler_looks_at_its_start(engine):
    engine.clock.advance(days=365)
    engine.scheduler.run_once()
    engine.clock.now -= timedelta(days=365)
    engine.scheduler = Scheduler(engine.settings, engine.store, engine.plugins)
    engine.run()
    hours_go_by(engine, 1)
    assert to_micros(NOON + HOUR) in dates_of(engine)


@pytest.mark.usefixtures("hourly")
def test_a_paused_schedule_is_set_back_when_it_goes_on(engine, services, me):
    engine.clock.advance(days=365)
    engine.scheduler.run_once()
    pause(services, me, "d")
    step(engine, timedelta(days=-365))
    unpause(services, me, "d")
    engine.scheduler._creator._look_ahead_at = 0.0  # as if seconds had gone by
    engine.run()
    hours_go_by(engine, 1)
    assert to_micros(NOON + HOUR) in dates_of(engine)


def test_a_continuous_schedule_goes_on_and_a_single_tick_does_not_come_twice(engine):
    engine.clock.now += timedelta(days=365)
    engine.add_dag(dag_of("@continuous", timetable=TimetableSpec("continuous"), max_active_runs=1))
    engine.add_dag(replace(dag_of("@once"), dag_id="once"))
    engine.run(rounds=20)
    step(engine, timedelta(seconds=2))
    step(engine, timedelta(days=-365))
    step(engine, timedelta(seconds=5))
    with engine.store.read() as tx:
        made = dict(tx.rows("SELECT dag_id, COUNT(*) FROM dag_run GROUP BY dag_id"))
        assert cursors.ahead(tx) == []
    assert made["once"] == 1
    assert engine.value("SELECT MIN(logical_date) FROM dag_run WHERE dag_id = 'd'") < to_micros(NOON + HOUR)
