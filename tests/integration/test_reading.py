"""What people and programs read: dags, runs, task instances, attempts, results."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.harness import Engine, spec_of

from orch.cli.commands import list_dags, list_runs, status
from orch.clock import to_micros
from orch.domain.dagspec import DagSpec, RetrySpec, TaskSpec, TimetableSpec
from orch.domain.jitter import offset_of
from orch.domain.timetables import timetable_of
from orch.errors import NotFound
from orch.store.queries import cursors, reading, reading_tasks, watching
from orch.store.reader import SqliteReader


@pytest.fixture
def engine(tmp_path):
    engine = Engine.create(tmp_path / "home")
    engine.add_dag(spec_of({"z_first": "", "middle": "z_first", "a_last": "middle"}, "chain"))
    yield engine
    engine.check()
    engine.store.close()


@pytest.fixture(params=["store", "reader"])
def reads(request, engine):
    """Both ways to read must give the same answers."""
    if request.param == "store":
        yield engine.store
        return
    with closing(SqliteReader(engine.settings.core.home / "orch.db", clock=engine.clock)) as reader:
        yield reader


def test_runs_are_listed_newest_created_first(engine, reads):
    for name in ("one", "two", "three"):
        engine.trigger("chain", name)
    with reads.read() as tx:
        assert [run.run_id for run in reading.list_runs(tx, "chain")] == ["three", "two", "one"]
        assert [run.run_id for run in reading.list_runs(tx, "chain", limit=2)] == ["three", "two"]
        assert reading.find_run(tx, "chain").run_id == "three"
        assert reading.find_run(tx, "chain", "one").run_id == "one"


def test_a_run_of_another_dag_is_not_found(engine, reads):
    engine.add_dag(spec_of({"a": ""}, "other"))
    engine.trigger("other", "mine")
    with (
        reads.read() as tx,
        pytest.raises(NotFound, match="has no run yet; create one with `orch trigger chain`"),
    ):
        reading.find_run(tx, "chain")
    with reads.read() as tx, pytest.raises(NotFound, match="DAG 'chain' has no run 'mine'"):
        reading.find_run(tx, "chain", "mine")


def test_an_unknown_name_offers_the_nearest_one(engine, reads):
    engine.trigger("chain", "manual__1")
    with reads.read() as tx:
        with pytest.raises(NotFound, match="unknown DAG 'chian'; did you mean 'chain'"):
            reading.find_dag(tx, "chian")
        with pytest.raises(NotFound, match="no run 'manual__2'; did you mean 'manual__1'"):
            reading.find_run(tx, "chain", "manual__2")
        run = reading.find_run(tx, "chain")
        with pytest.raises(NotFound, match="no task 'midle'; did you mean 'middle'"):
            reading_tasks.find_task_instance(tx, run, "midle")
        with pytest.raises(NotFound, match="not mapped; leave --map-index out"):
            reading_tasks.find_task_instance(tx, run, "middle", 3)


def test_the_status_document_has_exactly_the_promised_fields(engine, reads):
    date = datetime(2024, 1, 1, tzinfo=UTC)
    engine.trigger("chain", logical_date=date)
    engine.run(lambda claim: "failed" if claim.task_id == "middle" else "success")
    with reads.read() as tx:
        run = reading.find_run(tx, "chain")
        spec = reading.spec_of(tx, run.dag_version_id)
        tasks = status.in_order(reading_tasks.list_task_instances(tx, run.run_pk), spec)
    document = status.as_document(run, tasks)
    assert list(document) == [
        "dag_id", "run_id", "run_type", "backfill_id", "state", "reason", "logical_date", "tasks"
    ]  # fmt: skip
    assert document["logical_date"] == "2024-01-01T00:00:00.000000+00:00"
    assert (document["dag_id"], document["run_id"], document["state"]) == ("chain", "manual__1", "failed")
    first, middle, last = document["tasks"]
    keys = ["task_id", "map_index", "state", "try_number", "reason", "started_at", "ended_at"]
    assert list(first) == keys
    assert [task["task_id"] for task in (first, middle, last)] == ["z_first", "middle", "a_last"]
    assert (first["state"], first["map_index"], first["try_number"], first["reason"]) == (
        "success",
        -1,
        1,
        None,
    )
    assert first["started_at"].startswith("2024-01-01T12:00:00.")
    assert first["started_at"].endswith("+00:00")
    assert first["started_at"] < first["ended_at"]
    assert middle["state"] == "failed"
    assert middle["reason"] is not None
    assert (last["state"], last["try_number"], last["started_at"]) == ("upstream_failed", 0, None)


def test_a_fresh_run_has_no_times_and_no_tries(engine, reads):
    engine.trigger("chain")
    with reads.read() as tx:
        run = reading.find_run(tx, "chain")
        (task, *_) = reading_tasks.list_task_instances(tx, run.run_pk)
    assert list_runs.as_document(run) == {
        "run_id": "manual__1",
        "run_type": "manual",
        "backfill_id": None,
        "state": "queued",
        "logical_date": None,
        "started_at": None,
        "ended_at": None,
    }
    assert (task.state, task.try_number, task.started_at, task.ended_at) == ("none", 0, None, None)


def test_dags_are_listed_by_name_with_their_next_run_and_error(engine, reads):
    engine.add_dag(DagSpec("beta", (TaskSpec("t", "Test"),), schedule="0 5 * * *"))
    engine.scheduler.run_once()
    with engine.store.write("register_dags") as tx:
        tx.many(
            "INSERT INTO import_error (path, line, message, created_at) VALUES (?, ?, ?, ?)",
            [("chain.py", 3, "it broke", tx.now)],
        )
    with reads.read() as tx:
        rows = [list_dags.as_document(row) for row in reading.list_dags(tx)]
    assert rows == [
        {
            "dag_id": "beta",
            "is_paused": False,
            "schedule": "0 5 * * *",
            "next_run_at": "2024-01-02T05:00:00.000000+00:00",
            "import_error": None,
        },
        {
            "dag_id": "chain",
            "is_paused": False,
            "schedule": None,
            "next_run_at": None,
            "import_error": "chain.py:3: it broke",
        },
    ]


def test_the_next_run_is_known_before_a_scheduler_has_looked(engine, reads):
    spec = DagSpec("beta", (TaskSpec("t", "Test"),), schedule="0 5 * * *")
    engine.add_dag(spec)
    with reads.read() as tx:
        row = reading.find_dag(tx, "beta")
    assert row.next_run_at == timetable_of(spec).next_after(engine.clock.now)


def test_the_next_run_is_shown_with_its_jitter_whether_a_scheduler_has_looked_or_not(engine, reads):
    spec = DagSpec("beta", (TaskSpec("t", "Test"),), schedule="0 5 * * *", jitter_seconds=600)
    engine.add_dag(spec)
    expected = datetime(2024, 1, 2, 5, tzinfo=UTC) + offset_of("beta", timedelta(minutes=10))
    with reads.read() as tx:
        assert reading.find_dag(tx, "beta").next_run_at == expected
    engine.run()
    with reads.read() as tx:
        assert reading.find_dag(tx, "beta").next_run_at == expected


def test_the_next_run_of_a_continuous_dag_follows_the_open_one(engine, reads):
    engine.add_dag(DagSpec("on", (TaskSpec("t", "Test"),), timetable=TimetableSpec("continuous")))
    engine.run()
    engine.clock.advance(seconds=2)
    engine.scheduler.run_once()
    with reads.read() as tx:
        row = reading.find_dag(tx, "on")
    assert (row.next_run_at, row.follows_open_run) == (None, True)


def test_a_timetable_that_only_schedulers_know_has_no_next_run_yet(engine, reads):
    engine.add_dag(DagSpec("moon", (TaskSpec("t", "Test"),), timetable=TimetableSpec("moon")))
    with reads.read() as tx:
        assert reading.find_dag(tx, "moon").next_run_at is None


def test_a_dag_without_its_file_is_listed_only_on_request(engine, reads):
    with engine.store.write("register_dags") as tx:
        tx.many("UPDATE dag SET is_missing = 1 WHERE dag_id = ?", [("chain",)])
    with reads.read() as tx:
        assert reading.list_dags(tx) == []
        assert [row.dag_id for row in reading.list_dags(tx, with_missing=True)] == ["chain"]


def test_each_attempt_is_listed_with_its_outcome(engine, reads):
    engine.add_dag(spec_of({"flaky": ""}, "again", retry=RetrySpec(1, delay_seconds=0)))
    engine.trigger("again")
    engine.run(lambda claim: "failed" if claim.try_number == 1 else "success")
    with reads.read() as tx:
        run = reading.find_run(tx, "again")
        task = reading_tasks.find_task_instance(tx, run, "flaky")
        attempts = reading_tasks.list_attempts(tx, task.ti_id)
        assert reading_tasks.has_ended(tx, task.ti_id)
    assert [(attempt.try_number, attempt.outcome is not None) for attempt in attempts] == [
        (1, True),
        (2, True),
    ]
    assert attempts[0].error == "failed on purpose"
    assert attempts[0].epoch < attempts[1].epoch


def test_return_values_are_those_of_the_named_tasks(engine, reads):
    created = engine.trigger("chain")
    engine.run()
    with reads.read() as tx:
        assert reading_tasks.return_values(tx, created.run_pk, ["a_last"]) == {("a_last", -1): '"done"'}
        assert reading_tasks.return_values(tx, created.run_pk, []) == {}


def test_the_constant_for_a_schedule_nobody_has_looked_at_is_the_cursors(engine):
    assert reading._UNKNOWN_TICK == cursors.UNKNOWN


def test_open_and_ended_runs_are_counted_by_state(engine, reads):
    engine.trigger("chain", "done")
    engine.run()
    engine.trigger("chain", "open")
    engine.scheduler.run_once()
    with reads.read() as tx:
        (open_run,) = watching.open_runs(tx, 10)
        (ended,) = watching.ended_runs(tx, 10)
        assert watching.open_run_count(tx) == 1
        assert watching.dag_count(tx) == 1
    assert (open_run.run_id, open_run.total, open_run.done) == ("open", 3, 0)
    assert (ended.run_id, ended.done, ended.state) == ("done", 3, "success")
    assert ended.counts == {"success": 3}


def test_run_events_come_in_order_and_only_once(engine, reads):
    engine.trigger("chain", "first")
    with reads.read() as tx:
        before = watching.last_run_event(tx)
    engine.run()
    with reads.read() as tx:
        events = watching.run_events(tx, before)
        assert [(event.run_id, event.new) for event in events] == [("first", "running"), ("first", "success")]
        assert watching.run_events(tx, events[-1].seq) == []


def test_signs_of_life_name_the_lock_and_the_lease(engine, reads):
    with reads.read() as tx:
        (sign,) = watching.signs_of_life(tx)
    assert (sign.role, sign.host) == ("worker", "elsewhere")
    assert sign.lease_until > to_micros(engine.clock.now)
