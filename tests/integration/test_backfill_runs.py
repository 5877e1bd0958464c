"""Backfills in the scheduler: their runs are made lazily, in order, once per date, under a limit of their own."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from tests.integration.harness import spec_of

from orch.domain.backfills import BackfillState, Outcome, Reprocess
from orch.domain.dagspec import TimetableSpec
from orch.operations import backfill as operations
from orch.operations.backfill_plan import BackfillRequest
from orch.operations.pause import pause, unpause
from orch.scheduler.service import Scheduler
from orch.store.queries import backfill_dates, backfills
from orch.store.verify import verify

JANUARY = BackfillRequest("d", date(2023, 1, 1), date(2023, 1, 31))


def daily(**values):
    """A DAG of one task that runs each day at 06:00, new to the schedule today."""
    return replace(spec_of({"a": ""}), schedule="0 6 * * *", **values)


@pytest.fixture
def fill(engine, services, me):
    """Create a backfill of DAG d; return its id."""

    def create(request=JANUARY, **values):
        return operations.create(services, me, replace(request, **values)).backfill.backfill_id

    return create


def backfill(engine, backfill_id=1):
    with engine.store.read() as tx:
        return backfills.find(tx, backfill_id)


def progress(engine, backfill_id=1):
    with engine.store.read() as tx:
        return backfill_dates.progress(tx, backfill_id)


def days(engine, backfill_id=1):
    """The days of the backfill's runs in the order they were made."""
    with engine.store.read() as tx:
        rows = tx.rows("SELECT logical_date FROM dag_run WHERE backfill_id = ? ORDER BY id", (backfill_id,))
    return [datetime.fromtimestamp(micros / 1_000_000, UTC).day for (micros,) in rows]


def test_every_date_gets_one_run_in_order_and_then_it_is_completed(engine, fill):
    engine.add_dag(daily())
    fill()
    engine.run()
    assert days(engine) == list(range(1, 32))
    assert progress(engine).runs == {"success": 31}
    row = backfill(engine)
    assert row.state is BackfillState.COMPLETED
    assert row.ended_at == row.state_since
    assert row.position == row.last == datetime(2023, 1, 31, 6, tzinfo=UTC)


def test_a_run_has_the_names_dates_and_conf_of_its_backfill(engine, fill):
    engine.add_dag(daily())
    fill(conf={"full": True})
    engine.scheduler.run_once()
    with engine.store.read() as tx:
        (row,) = tx.rows(
            "SELECT run_id, run_type, data_interval_start = logical_date, conf, triggered_by, run_after = created_at"
            " FROM dag_run WHERE backfill_id = 1 ORDER BY id LIMIT 1"
        )
    assert row == ("backfill__1__2023-01-01T06:00:00+00:00", "backfill", 1, '{"full": true}', "me", 1)
    engine.run()


def test_an_interval_timetable_gives_its_intervals(engine, fill):
    hourly = TimetableSpec("cron_interval", {"expression": "0 * * * *"})
    engine.add_dag(replace(spec_of({"a": ""}), schedule="0 * * * *", timetable=hourly))
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    fill(first=noon - timedelta(hours=3), last=noon)
    engine.run()
    with engine.store.read() as tx:
        rows = tx.rows(
            "SELECT run_id, data_interval_end - data_interval_start FROM dag_run WHERE backfill_id = 1 ORDER BY id"
        )
    hour = 3_600_000_000
    assert rows == [(f"backfill__1__2024-01-01T{h:02}:00:00+00:00", hour) for h in (9, 10, 11)]


def test_backwards_begins_with_the_latest_date(engine, fill):
    engine.add_dag(daily())
    fill(backwards=True, max_active_runs=1)
    engine.run()
    assert days(engine) == list(range(31, 0, -1))
    assert backfill(engine).state is BackfillState.COMPLETED


@pytest.mark.parametrize("most", [1, 3, 10])
def test_no_more_runs_are_open_at_once_than_it_may_have(engine, fill, most):
    engine.add_dag(daily())
    fill(max_active_runs=most)
    for _ in range(5):
        engine.scheduler.run_once()
        assert sum(progress(engine).runs.values()) == most
    engine.work(limit=1)
    engine.scheduler.run_once()
    engine.scheduler.run_once()
    assert progress(engine).runs == {"success": 1, "running": most}
    engine.run()


def test_its_limit_and_that_of_the_dag_do_not_count_each_other(engine, fill):
    engine.add_dag(daily(max_active_runs=1))
    fill(max_active_runs=2)
    engine.trigger("d", "one")
    engine.trigger("d", "two")
    engine.scheduler.run_once()
    assert (engine.run_state("one"), engine.run_state("two")) == ("running", "queued")
    assert progress(engine).runs == {"running": 2}
    engine.run()
    assert engine.run_state("two") == "success"


@pytest.mark.parametrize(
    ("reprocess", "again"),
    [(Reprocess.NONE, []), (Reprocess.FAILED, [1, 2]), (Reprocess.COMPLETED, [1, 2, 3])],
)
def test_dates_with_runs_are_decided_by_their_newest_run(engine, services, me, fill, reprocess, again):
    engine.add_dag(daily())
    three = {"first": date(2023, 1, 1), "last": date(2023, 1, 3)}
    fill(**three, max_active_runs=1)
    engine.run(lambda claim: "failed" if "01-01T" in claim.run_id else "success")
    fill(last=date(2023, 1, 2), max_active_runs=1, reprocess="completed", backwards=True)
    engine.scheduler.run_once()
    operations.pause(services, me, 2)
    engine.run(lambda _: "failed")  # the second day fails now, the first one had failed before
    operations.cancel(services, me, 2)
    third = fill(**three, reprocess=reprocess)
    engine.run()
    assert days(engine, third) == again
    assert progress(engine, third).dealt_with == 3


def test_a_date_whose_newest_run_is_open_is_passed_over_and_names_that_run(engine, fill):
    engine.add_dag(daily())
    engine.trigger("d", "by_hand", logical_date=datetime(2023, 1, 2, 6, tzinfo=UTC))
    fill(last=date(2023, 1, 3), reprocess="completed")
    engine.scheduler.run_once()
    with engine.store.read() as tx:
        dates = backfill_dates.dealt_with(tx, 1)
    assert [each.outcome for each in dates] == [Outcome.CREATED, Outcome.RUN_OPEN, Outcome.CREATED]
    assert (dates[1].run_id, dates[1].run_state) == ("by_hand", "running")
    engine.run()


def test_failures_do_not_stop_it(engine, fill):
    engine.add_dag(daily())
    fill(max_active_runs=2)
    engine.run(lambda _: "failed")
    assert progress(engine).runs == {"failed": 31}
    assert backfill(engine).state is BackfillState.COMPLETED


def test_where_all_dates_have_runs_it_completes_without_making_any(engine, fill):
    engine.add_dag(daily())
    fill()
    engine.run()
    fill()
    engine.run()
    assert progress(engine, 2).outcomes == {Outcome.RUN_EXISTS: 31}
    assert backfill(engine, 2).state is BackfillState.COMPLETED


def test_thousands_of_dates_are_passed_over_in_short_transactions(engine, fill):
    engine.add_dag(replace(spec_of({}), schedule="*/10 * * * *"))
    fill(last=date(2023, 1, 10), max_active_runs=1000)
    engine.run()
    fill(last=date(2023, 1, 10))
    for _ in range(3):
        engine.scheduler.run_once()
    assert progress(engine, 2).outcomes == {Outcome.RUN_EXISTS: 1440}


def test_it_keeps_the_schedule_it_was_made_with_and_runs_the_newest_version(engine, fill):
    engine.add_dag(daily())
    fill(last=date(2023, 1, 4), max_active_runs=1)
    engine.scheduler.run_once()
    edited = replace(spec_of({"a": "", "b": "a"}), schedule="@weekly")
    with engine.store.write("register_dags") as tx:
        tx.many(
            "INSERT INTO dag_version (dag_pk, number, structure_hash, structure, created_at) VALUES (1, 2, ?, ?, 0)",
            [(edited.structure_hash, edited.to_json())],
        )
        tx.execute("UPDATE dag SET current_version_id = 2")
        tx.execute(
            "UPDATE schedule_cursor SET next_tick_at = 0, since_tick_at = NULL"
        )  # as registration does
    engine.run()
    assert days(engine) == [1, 2, 3, 4]
    assert engine.states("backfill__1__2023-01-01T06:00:00+00:00") == {"a": "success"}
    assert engine.states("backfill__1__2023-01-02T06:00:00+00:00") == {"a": "success", "b": "success"}


def test_while_the_dag_is_paused_no_run_is_made_and_afterwards_it_goes_on(engine, services, me, fill):
    engine.add_dag(daily())
    fill(max_active_runs=4)
    engine.scheduler.run_once()
    pause(services, me, "d")
    engine.run()
    assert days(engine) == [1, 2, 3, 4]
    unpause(services, me, "d")
    engine.run()
    assert backfill(engine).state is BackfillState.COMPLETED


@pytest.mark.parametrize("trouble", ["UPDATE dag SET is_missing = 1", "broken"])
def test_a_dag_without_a_good_file_gets_no_run_until_it_is_back(engine, fill, trouble):
    engine.add_dag(daily())
    fill()
    if trouble == "broken":
        trouble = "INSERT INTO import_error (path, message, created_at) VALUES ('d.py', 'SyntaxError', 0)"
    with engine.store.write("register_dags") as tx:
        tx.execute(trouble)
    engine.run()
    assert days(engine) == []
    with engine.store.write("register_dags") as tx:
        tx.execute("UPDATE dag SET is_missing = 0")
        tx.execute("DELETE FROM import_error")
    engine.run()
    assert len(days(engine)) == 31


def test_several_backfills_go_on_side_by_side(engine, services, me, fill):
    engine.add_dag(daily())
    engine.add_dag(replace(daily(), dag_id="other"))
    fill(max_active_runs=1)
    fill(first=date(2023, 2, 1), last=date(2023, 2, 28), max_active_runs=1)
    fill(dag_id="other", max_active_runs=1)
    engine.scheduler.run_once()
    assert [progress(engine, number).runs for number in (1, 2, 3)] == [{"running": 1}] * 3
    engine.run()
    assert [len(days(engine, number)) for number in (1, 2, 3)] == [31, 28, 31]


def test_one_whose_schedule_raises_stops_no_other_one(engine, services, me, fill):
    engine.add_dag(daily())
    engine.add_dag(replace(daily(), dag_id="bad"))
    fill(dag_id="bad")
    fill()
    with engine.store.write("audit") as tx:
        tx.execute("UPDATE backfill SET dag_version_id = 99 WHERE id = 1")
    engine.run()
    assert backfill(engine, 2).state is BackfillState.COMPLETED
    assert days(engine, 1) == []


def test_a_schedule_that_has_lost_dates_since_completes_with_those_it_has_and_says_so(engine, fill, caplog):
    engine.add_dag(daily())
    fill(last=date(2023, 1, 3))
    with engine.store.write("audit") as tx:
        tx.many(
            "UPDATE backfill SET to_date = to_date + ?, dates = 4", [(1,)]
        )  # as if there had been another one
    engine.run()
    assert backfill(engine).state is BackfillState.COMPLETED
    assert backfill(engine).dates == 4
    assert days(engine) == [1, 2, 3]
    assert "made of 4 dates, and its schedule has 3 of them now" in caplog.text
    assert [finding.message for finding in verify(engine.store)] == [
        "backfill 1 is completed with 3 of its 4 dates"
    ]
    with engine.store.write("audit") as tx:
        tx.execute("UPDATE backfill SET dates = 3")


def test_a_scheduler_for_one_run_makes_no_run_of_a_backfill_and_works_on_those_that_are_there(engine, fill):
    engine.add_dag(daily())
    fill(max_active_runs=2)
    run = engine.trigger("d", "mine")
    scoped = Scheduler(engine.settings, engine.store, engine.plugins, scope_run_pk=run.run_pk)
    for _ in range(5):
        scoped.run_once()
    assert days(engine) == []
    engine.scheduler.run_once()
    assert progress(engine).runs == {"running": 2}
    for _ in range(10):
        scoped.run_once()
        engine.work()
    assert progress(engine).runs == {"success": 2}
    engine.run()


def test_two_schedulers_make_each_run_once(engine, fill):
    engine.add_dag(daily())
    fill(max_active_runs=5)
    other = Scheduler(engine.settings, engine.store, engine.plugins)
    for _ in range(100):
        if not (engine.scheduler.run_once() + other.run_once() + engine.work()):
            break
    assert days(engine) == list(range(1, 32))
