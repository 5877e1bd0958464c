"""Backfills as operations: what may be asked for, what an equal request gives, and how one is paused and ended."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from tests.integration.harness import spec_of

from orch.domain.backfills import BackfillState, Outcome
from orch.domain.dagspec import TimetableSpec
from orch.domain.sources import content_hash, digest_text
from orch.errors import BadInput, Conflict, NotFound
from orch.operations import backfill as operations
from orch.operations.backfill_plan import BackfillRequest, preview
from orch.scheduler.backfills import advance_backfills
from orch.store.queries import audit, backfill_dates, backfills

JANUARY = BackfillRequest("d", date(2023, 1, 1), date(2023, 1, 31))


def daily(**values):
    return replace(spec_of({"a": ""}), schedule="0 6 * * *", **values)


@pytest.fixture
def create(engine, services, me):
    return lambda **values: operations.create(services, me, replace(JANUARY, **values))


def row_of(engine, backfill_id=1):
    with engine.store.read() as tx:
        return backfills.find(tx, backfill_id)


def runs_of(engine, backfill_id=1):
    with engine.store.read() as tx:
        return backfill_dates.progress(tx, backfill_id).runs


def audited(engine):
    with engine.store.read() as tx:
        return [(entry.action, entry.target, entry.result) for _, entry in audit.newest(tx)]


def test_a_day_is_meant_from_its_first_to_its_last_moment_in_the_zone_of_the_dag(engine, create):
    engine.add_dag(replace(spec_of({"a": ""}), schedule="0 * * * *", timezone="Europe/Berlin"))
    row = create(first=date(2023, 3, 26), last=date(2023, 3, 26)).backfill
    assert row.first == datetime(2023, 3, 25, 23, tzinfo=UTC)
    assert row.last == datetime(2023, 3, 26, 21, tzinfo=UTC)
    assert row.dates == 23  # the clock goes forward on that day


def test_a_moment_counts_exactly_and_without_an_offset_on_the_clock_of_the_dag(engine, create):
    engine.add_dag(replace(spec_of({"a": ""}), schedule="0 * * * *", timezone="Europe/Berlin"))
    row = create(first=datetime(2023, 1, 1, 6), last=datetime(2023, 1, 1, 9, tzinfo=UTC)).backfill
    assert (row.first, row.last) == (datetime(2023, 1, 1, 5, tzinfo=UTC), datetime(2023, 1, 1, 9, tzinfo=UTC))
    assert row.dates == 5


def test_only_dates_that_have_come_are_part_of_it_and_the_next_one_is_named(engine, create):
    engine.add_dag(daily())
    result = create(first=date(2023, 12, 30), last=date(2030, 1, 1))
    assert result.backfill.last == datetime(2024, 1, 1, 6, tzinfo=UTC)
    assert result.backfill.dates == 3
    assert result.not_yet == datetime(2024, 1, 2, 6, tzinfo=UTC)


def test_the_open_interval_of_now_is_not_part_of_it(engine, create):
    hourly = TimetableSpec("cron_interval", {"expression": "0 * * * *"})
    engine.add_dag(replace(spec_of({"a": ""}), schedule="0 * * * *", timetable=hourly))
    result = create(first=date(2024, 1, 1), last=date(2024, 1, 1))
    assert result.backfill.last == datetime(2024, 1, 1, 11, tzinfo=UTC)
    assert result.not_yet == datetime(2024, 1, 1, 12, tzinfo=UTC)


def test_an_equal_request_gives_the_open_backfill_and_a_new_one_after_its_end(engine, create):
    engine.add_dag(daily())
    first = create(conf={"a": 1, "b": 2})
    again = create(conf={"b": 2, "a": 1}, first=datetime(2023, 1, 1, tzinfo=UTC))
    assert (first.created, again.created) == (True, False)
    assert again.backfill == first.backfill
    engine.run()
    assert create(conf={"a": 1, "b": 2}).backfill.backfill_id == 2
    engine.run()


@pytest.mark.parametrize("other", [{"max_active_runs": 3}, {"backwards": True}, {"first": date(2023, 1, 31)}])
def test_another_request_for_dates_of_an_open_one_is_refused_with_its_name(engine, create, other):
    engine.add_dag(daily())
    create()
    with pytest.raises(Conflict, match=r"backfill 1 of DAG 'd' is running .* `orch backfill cancel 1`"):
        create(**other)


def test_other_dates_and_other_dags_are_nobodys_conflict(engine, create):
    engine.add_dag(daily())
    engine.add_dag(replace(daily(), dag_id="e"))
    create()
    assert create(first=date(2023, 2, 1), last=date(2023, 2, 2)).created
    assert create(dag_id="e").created


def test_a_range_without_dates_is_answered_with_the_nearest_ones(engine, create):
    engine.add_dag(replace(spec_of({"a": ""}), schedule="0 6 1 * *"))
    with pytest.raises(BadInput, match=r"nearest are 2023-01-01T06.* and 2023-02-01T06"):
        create(first=date(2023, 1, 2), last=date(2023, 1, 3))
    with pytest.raises(BadInput, match=r"that has come: the first one is 2024-02-01T06"):
        create(first=date(2024, 1, 2), last=date(2024, 2, 3))


def test_a_range_outside_of_the_dates_of_the_dag_is_answered_with_them(engine, create):
    bounds = {"start_date": datetime(2023, 3, 1, tzinfo=UTC), "end_date": datetime(2023, 4, 1, tzinfo=UTC)}
    engine.add_dag(daily(**bounds))
    with pytest.raises(BadInput, match="start_date is 2023-03-01"):
        create()
    with pytest.raises(BadInput, match="end_date is 2023-04-01"):
        create(first=date(2023, 5, 1), last=date(2023, 5, 2))
    assert create(last=date(2023, 6, 1)).backfill.dates == 31


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"first": date(2023, 2, 1)}, "--from 2023-02-01 is later than --to 2023-01-31"),
        ({"first": date(1800, 1, 1)}, "outside of the years"),
        ({"last": date(9999, 12, 31)}, "outside of the years"),
        ({"max_active_runs": 0}, "--max-active is 1 to 1000"),
        ({"max_active_runs": 1001}, "--max-active is 1 to 1000"),
        ({"reprocess": "fialed"}, "did you mean 'failed'"),
        ({"conf": {"x": float("nan")}}, "conf.x is nan"),
        ({"dag_id": "dd"}, "did you mean 'd'"),
    ],
)
def test_a_request_that_means_nothing_is_refused_and_written_down(engine, create, values, words):
    engine.add_dag(daily())
    with pytest.raises(BadInput, match=words):
        create(**values)
    assert audited(engine) == [("backfill.create", values.get("dag_id", "d"), "refused")]
    assert row_of(engine) is None


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (spec_of({"a": ""}), "has no schedule"),
        (replace(spec_of({"a": ""}), schedule="@once"), "the schedule @once"),
        (
            replace(spec_of({"a": ""}), schedule="@continuous", timetable=TimetableSpec("continuous")),
            "the schedule @continuous",
        ),
    ],
)
def test_a_dag_without_dates_has_nothing_to_fill(engine, create, spec, words):
    engine.add_dag(spec)
    with pytest.raises(BadInput, match=rf"{words}.* `orch trigger d --logical-date DATE`"):
        create()


def test_more_dates_than_one_backfill_may_have_are_refused_with_the_date_to_end_at(
    engine, create, monkeypatch
):
    monkeypatch.setattr("orch.operations.backfill_plan.MOST_DATES", 10)
    engine.add_dag(daily())
    with pytest.raises(BadInput, match=r"more than 10 dates.* 2023-01-10T06:00:00"):
        create()
    assert create(last=datetime(2023, 1, 10, 6)).backfill.dates == 10


def test_backwards_is_refused_where_a_task_needs_the_run_before(engine, create):
    engine.add_dag(replace(spec_of({"a": ""}, depends_on_past=True), schedule="0 6 * * *"))
    with pytest.raises(BadInput, match=r"task 'a' .*depends_on_past.*leave --backwards out"):
        create(backwards=True)
    assert create().created


def test_a_missing_dag_is_refused(engine, create):
    engine.add_dag(daily())
    with engine.store.write("register_dags") as tx:
        tx.execute("UPDATE dag SET is_missing = 1")
    with pytest.raises(Conflict, match=r"d\.py has it no more"):
        create()


def test_a_broken_dag_is_refused_unless_its_last_good_sources_are_stored(engine, create):
    engine.add_dag(daily())
    with engine.store.write("register_dags") as tx:
        tx.execute("INSERT INTO import_error (path, message, created_at) VALUES ('d.py', 'SyntaxError', 0)")
    with pytest.raises(BadInput, match=r"SyntaxError\); mend the file first"):
        create()
    with engine.store.write("register_dags") as tx:
        tx.many("INSERT INTO bundle (hash, files, created_at) VALUES (?, '{}', 0)", [(digest_text("{}"),)])
        tx.many("UPDATE dag SET bundle_id = 1, source_rev = ?", [(content_hash({}),)])
    create(last=date(2023, 1, 2))
    engine.run()
    assert runs_of(engine) == {"success": 2}


def test_a_preview_says_what_creating_would_do_and_writes_nothing(engine, create):
    engine.add_dag(daily())
    create(last=date(2023, 1, 2))
    engine.run(lambda claim: "failed" if "01-01T" in claim.run_id else "success")
    engine.trigger("d", "open", logical_date=datetime(2023, 1, 3, 6, tzinfo=UTC))
    request = replace(JANUARY, last=date(2023, 1, 4), reprocess="failed", backwards=True)
    with engine.store.read() as tx:
        found = preview(tx, request)
    assert [(each.logical_date.day, each.outcome) for each in found.dates] == [
        (4, Outcome.CREATED),
        (3, Outcome.RUN_OPEN),
        (2, Outcome.RUN_SUCCEEDED),
        (1, Outcome.CREATED),
    ]
    assert found.dates[1].run_id == "open"
    assert found.in_the_way is None
    assert row_of(engine, 2) is None
    create(last=date(2023, 1, 4), reprocess="failed", backwards=True)
    engine.run()
    assert runs_of(engine, 2) == {"success": 2}


def test_a_preview_of_what_is_there_already_names_it(engine, create):
    engine.add_dag(daily())
    create()
    with engine.store.read() as tx:
        assert "backfill 1 does just that" in str(preview(tx, JANUARY).in_the_way)
        backwards = preview(tx, replace(JANUARY, backwards=True))
        assert "backfill 1 of DAG 'd'" in str(backwards.in_the_way)


def test_while_paused_no_run_is_made_or_started_and_what_runs_goes_on(engine, services, me, create):
    engine.add_dag(daily())
    create(max_active_runs=3)
    engine.scheduler.run_once()
    engine.work(limit=1)  # there is room for another run now
    assert operations.pause(services, me, 1).running_runs == 3
    assert not operations.pause(services, me, 1).changed
    engine.run()
    assert runs_of(engine) == {"success": 3}
    assert row_of(engine).state is BackfillState.PAUSED
    assert operations.resume(services, me, 1).changed
    assert not operations.resume(services, me, 1).changed
    engine.run()
    assert runs_of(engine) == {"success": 31}


def test_a_paused_one_that_is_through_completes(engine, services, me, create):
    engine.add_dag(daily())
    create(last=date(2023, 1, 2))
    engine.scheduler.run_once()
    operations.pause(services, me, 1)
    engine.run()
    assert row_of(engine).state is BackfillState.COMPLETED


def test_a_cancel_ends_queued_runs_with_their_tasks_and_lets_running_ones_end(engine, services, me, create):
    engine.add_dag(replace(spec_of({"a": "", "b": "a"}), schedule="0 6 * * *"))
    create(max_active_runs=1)
    engine.scheduler.run_once()
    with engine.store.write("backfill") as tx:
        tx.execute("UPDATE backfill SET max_active_runs = 3")
    advance_backfills(engine.scheduler.context)  # which starts none of them
    result = operations.cancel(services, me, 1)
    assert (result.changed, result.cancelled_runs, result.running_runs) == (True, 2, 1)
    engine.check()
    engine.run()
    assert runs_of(engine) == {"success": 1, "cancelled": 2}
    assert row_of(engine).state is BackfillState.CANCELLED
    assert engine.states("backfill__1__2023-01-02T06:00:00+00:00") == {"a": "cancelled", "b": "cancelled"}
    assert engine.value("SELECT MIN(epoch) FROM task_instance WHERE state = 'cancelled'") == 1
    history = (
        "SELECT DISTINCT actor || ' ' || actor_id || ' ' || reason FROM ti_history WHERE new = 'cancelled'"
    )
    assert engine.value(history) == "operator me backfill_cancelled"


def test_a_cancelled_one_stays_so_and_makes_room_for_another(engine, services, me, create):
    engine.add_dag(daily())
    create()
    operations.cancel(services, me, 1)
    assert not operations.cancel(services, me, 1).changed
    for change in (operations.pause, operations.resume):
        with pytest.raises(Conflict, match="is cancelled and cannot be"):
            change(services, me, 1)
    assert create().backfill.backfill_id == 2


def test_a_completed_one_cannot_be_cancelled(engine, services, me, create):
    engine.add_dag(daily())
    create(last=date(2023, 1, 1))
    engine.run()
    with pytest.raises(Conflict, match="is completed and cannot be cancelled"):
        operations.cancel(services, me, 1)


def test_an_unknown_one_is_answered_with_what_there_is(engine, services, me, create):
    with pytest.raises(NotFound, match="there is none yet"):
        operations.pause(services, me, 1)
    engine.add_dag(daily())
    create()
    with pytest.raises(NotFound, match="unknown backfill 7; the newest one is 1"):
        operations.cancel(services, me, 7)


def test_each_operation_leaves_its_audit_row(engine, services, me, create):
    engine.add_dag(daily())
    create()
    for change in (operations.pause, operations.resume, operations.cancel):
        change(services, me, 1)
    assert audited(engine) == [
        ("backfill.cancel", "backfill 1", "done"),
        ("backfill.resume", "backfill 1", "done"),
        ("backfill.pause", "backfill 1", "done"),
        ("backfill.create", "d", "done"),
    ]


def test_a_cancel_wakes_the_runs_that_wait_for_the_cancelled_ones(engine, services, me, create):
    engine.add_dag(replace(spec_of({"a": ""}, depends_on_past=True), schedule="0 6 * * *"))
    create(last=date(2023, 1, 1))
    advance_backfills(engine.scheduler.context)
    operations.pause(services, me, 1)
    waiting = engine.trigger("d", "next_day", logical_date=datetime(2023, 1, 2, 6, tzinfo=UTC))
    engine.run()
    assert engine.states("next_day") == {"a": "none"}
    operations.cancel(services, me, 1)
    assert engine.value("SELECT run_pk FROM wakeup") == waiting.run_pk
    engine.run()
