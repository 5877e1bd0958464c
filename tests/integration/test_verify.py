"""Verify: each invariant is seen when it is broken on purpose."""

from datetime import UTC, date, datetime, timedelta

import pytest
from tests.integration.harness import Engine, spec_of

from orch.domain.dagspec import DagSpec, RetrySpec, TaskSpec
from orch.domain.sources import bundle_text, content_hash, digest_text
from orch.operations.actor import Actor
from orch.operations.backfill import create as create_backfill
from orch.operations.backfill_plan import BackfillRequest
from orch.operations.perform import Services
from orch.store.queries import bundles, registration
from orch.store.queries.bundles import TakenBundle
from orch.store.queries.dag_files import ParsedDag, ParsedFile
from orch.store.verify import CHECKS, verify


@pytest.fixture
def engine(tmp_path):
    """A database with a finished run, a failed and retried task, a queued and a running one, and waiting ones."""
    engine = Engine.create(tmp_path / "home")
    engine.add_dag(DagSpec("d", spec_of({"a": "", "b": "a"}, retry=RetrySpec(1, delay_seconds=5)).tasks))
    engine.trigger("d", "done")
    engine.run(lambda claim: "failed" if claim.try_number == 1 and claim.task_id == "a" else "success")
    engine.clock.advance(seconds=6)
    engine.run()
    tasks = (TaskSpec("x", "Test", wait_for_downstream=True), TaskSpec("y", "Test", ("x",)))
    engine.add_dag(DagSpec("p", tasks))
    for number in (1, 2):
        engine.trigger("p", f"p{number}")
        engine.run()
    engine.trigger("d", "open")
    engine.scheduler.run_once()
    engine.execution.claim(engine.worker, ["LocalExecutor"], 1)
    engine.add_dag(DagSpec("w", (TaskSpec("r", "Test", retry=RetrySpec(3)),), max_active_tasks=1))
    engine.trigger("w", "waits")
    engine.scheduler.run_once()
    engine.work(lambda _: "failed")
    engine.scheduler.run_once()
    engine.trigger("w", "queued")
    engine.scheduler.run_once()
    fill_dates(engine)
    _add_pinned(engine)
    _add_scheduled(engine)
    engine.check()
    yield engine
    engine.store.close()


def fill_dates(engine):
    """Add a completed backfill of two dates, one of which had its run, and an open one that goes backwards."""
    engine.add_dag(DagSpec("h", (TaskSpec("t", "Test"),), schedule="0 6 * * *"))
    engine.trigger("h", "by_hand", logical_date=datetime(2023, 1, 1, 6, tzinfo=UTC))
    engine.run(lambda claim: "failed" if claim.dag_id == "w" else "success")
    services, me = Services(engine.store, "LocalExecutor"), Actor("me")
    create_backfill(services, me, BackfillRequest("h", date(2023, 1, 1), date(2023, 1, 2)))
    engine.run(lambda claim: "failed" if claim.dag_id == "w" else "success")
    create_backfill(services, me, BackfillRequest("h", date(2023, 2, 1), date(2023, 2, 9), backwards=True))
    engine.scheduler.run_once()


def _add_scheduled(engine):
    """A DAG that has caught up with three hours, and one that makes a run for the latest minute."""
    tasks, start = (TaskSpec("s", "Test"),), engine.clock.now - timedelta(hours=3)
    engine.add_dag(DagSpec("caught_up", tasks, schedule="0 * * * *", start_date=start, catchup=True))
    engine.add_dag(DagSpec("latest", tasks, schedule="* * * * *"))
    engine.scheduler._creator.run_once()
    for minutes in (1, 3):
        engine.clock.advance(minutes=minutes)
        engine.scheduler._creator.run_once()


def _add_pinned(engine):
    """A DAG whose code is stored, and a run of it."""
    digests = {"p.py": digest_text("x")}
    text = bundle_text(digests)
    parsed = ParsedDag.of(spec_of({"a": ""}, "p"))
    file = ParsedFile("p.py", content_hash(digests), "", ("p.py",), (parsed,), digests=digests)
    with engine.store.write("register_dags") as tx:
        bundles.put_blobs(tx, {digests["p.py"]: b"x"})
        registration.register_files(tx, [file], TakenBundle(digest_text(text), text, digests))
    engine.trigger("p", "pinned")


RUNNING = "(SELECT id FROM task_instance WHERE state = 'running')"
QUEUED = "(SELECT id FROM task_instance WHERE state = 'queued')"
A_DONE = "(SELECT MIN(id) FROM task_instance WHERE task_id = 'a')"
B_DONE = "(SELECT MIN(id) FROM task_instance WHERE task_id = 'b')"
LAST_CAUGHT_UP = "(SELECT MAX(logical_date) FROM dag_run WHERE dag_id = 'caught_up')"
LAST_MINUTE = "(SELECT MAX(logical_date) FROM dag_run WHERE dag_id = 'latest')"
OPEN_RUN = "(SELECT id FROM dag_run WHERE run_id = 'open')"

BROKEN = {
    "I1": [
        f"UPDATE task_instance SET version = version + 1 WHERE id = {A_DONE}",
        f"UPDATE task_instance SET state = 'failed' WHERE id = {A_DONE}",
        f"UPDATE ti_history SET old = 'queued' WHERE ti_id = {A_DONE} AND version = 2",
        f"DELETE FROM ti_history WHERE ti_id = {A_DONE} AND version = 1",
        "UPDATE task_instance SET state = 'success' WHERE state = 'none'",
        "DELETE FROM dag_run WHERE run_id = 'p1'",
        "DELETE FROM run_history WHERE run_pk = 1",
    ],
    "I2": [
        f"UPDATE ti_history SET actor = 'triggerer' WHERE ti_id = {A_DONE} AND version = 1",
        "UPDATE run_history SET new = 'success', old = 'queued' WHERE seq = 2",
    ],
    "I3": [
        f"UPDATE ti_history SET epoch = 1 WHERE ti_id = {A_DONE} AND new = 'running'",
        f"UPDATE ti_history SET try_number = 1 WHERE ti_id = {A_DONE} AND new = 'running'",
    ],
    "I4": [
        f"UPDATE ti_history SET try_number = 1 WHERE ti_id = {A_DONE} AND actor = 'worker'",
    ],
    "I5": [f"UPDATE ti_history SET actor_id = 'thief' WHERE ti_id = {A_DONE} AND new = 'success'"],
    "I6": [f"UPDATE ti_history SET epoch = 0 WHERE ti_id = {A_DONE} AND new = 'success'"],
    "I7": [f"UPDATE ti_history SET old = 'success' WHERE ti_id = {A_DONE} AND version = 3"],
    "I8": [
        f"UPDATE ti_history SET seq = -1 WHERE ti_id = {B_DONE} AND version = 1",
    ],
    "I9": [
        "UPDATE limit_history SET size = 0 WHERE kind = 'pool'",
        "UPDATE limit_row SET size = size + 50 WHERE kind = 'pool'",
    ],
    "I10": [
        "UPDATE limit_history SET size = 0 WHERE kind = 'dag_runs' AND name = 'd'",
        "UPDATE backfill SET max_active_runs = 1 WHERE id = 2",
    ],
    "I11": [
        "UPDATE dag_run SET due_at = NULL, created_at = 0 WHERE run_id = 'waits'",
    ],
    "I12": [
        f"DELETE FROM dispatch WHERE ti_id IN {QUEUED}",
        f"UPDATE attempt SET outcome = 'success' WHERE ti_id IN {RUNNING}",
        "UPDATE task_instance SET due_at = NULL WHERE state = 'up_for_retry'",
        "UPDATE task_instance SET state = 'deferred' WHERE state = 'running'",
    ],
    "I13": [
        f"UPDATE attempt SET outcome = NULL WHERE ti_id = {A_DONE}",
        f"UPDATE dispatch SET epoch = 77 WHERE ti_id IN {QUEUED}",
        f"UPDATE task_instance SET due_at = 5 WHERE id = {A_DONE}",
    ],
    "I14": [
        "UPDATE dag_run SET state = 'failed' WHERE run_id = 'done'",
        "UPDATE dag_run SET state = 'success' WHERE run_id = 'open'",
        "UPDATE dag_run SET ended_at = 1 WHERE run_id = 'done'",
    ],
    "I15": [
        "UPDATE dag_run SET backfill_id = 7 WHERE backfill_id = 1",
        "UPDATE dag_run SET backfill_id = NULL WHERE backfill_id = 1",
        "DELETE FROM backfill_date WHERE backfill_id = 1 AND outcome = 'created'",
        "DELETE FROM backfill_date WHERE backfill_id = 1 AND outcome = 'run_exists'",
        "UPDATE backfill_date SET run_pk = 1 WHERE backfill_id = 1 AND outcome = 'run_exists'",
        "UPDATE backfill SET position = position + 86400000000 WHERE id = 2",
        "UPDATE backfill SET to_date = to_date - 86400000000 WHERE id = 2",
        "UPDATE backfill SET state = 'completed', ended_at = 1, dates = 9 WHERE id = 2",
        "UPDATE backfill SET ended_at = NULL WHERE id = 1",
        "UPDATE backfill SET dates = 30 WHERE id = 1",
    ],
    "I16": [
        f"DELETE FROM dag_run WHERE logical_date = {LAST_CAUGHT_UP} - 3600000000 AND dag_id = 'caught_up'",
        f"DELETE FROM dag_run WHERE logical_date = {LAST_CAUGHT_UP} AND dag_id = 'caught_up'",
        f"UPDATE dag_run SET logical_date = {LAST_CAUGHT_UP} WHERE dag_id = 'caught_up'",
        f"UPDATE dag_run SET logical_date = logical_date - 1 WHERE logical_date = {LAST_CAUGHT_UP}",
        "UPDATE schedule_cursor SET since_tick_at = since_tick_at + 3600000000"
        " WHERE dag_pk = (SELECT id FROM dag WHERE dag_id = 'caught_up')",
        f"DELETE FROM dag_run WHERE logical_date = {LAST_MINUTE} AND dag_id = 'latest'",
        f"UPDATE dag_run SET logical_date = {LAST_MINUTE} WHERE dag_id = 'latest'",
        f"UPDATE dag_run SET logical_date = logical_date - 1 WHERE logical_date = {LAST_MINUTE}",
        f"UPDATE dag_run SET created_at = created_at + 60000000 WHERE logical_date = {LAST_MINUTE}",
        f"UPDATE dag_run SET created_at = created_at - 60000000 WHERE logical_date = {LAST_MINUTE}",
        "UPDATE schedule_cursor SET last_tick_at = last_tick_at - 60000000"
        " WHERE dag_pk = (SELECT id FROM dag WHERE dag_id = 'latest')",
        *(
            f"UPDATE schedule_cursor SET {change} WHERE dag_pk = (SELECT id FROM dag WHERE dag_id = '{name}')"
            for name in ("caught_up", "latest", "h")
            for change in (
                "next_tick_at = next_tick_at + 365 * 86400000000",
                "next_tick_at = next_tick_at + 1",
                "next_tick_at = NULL",
                "next_tick_at = -99999999999999999",
                "last_tick_at = 2000000000000000, next_tick_at = 2000000040000000, since_tick_at = NULL",
            )
        ),
        "DELETE FROM schedule_cursor WHERE dag_pk = (SELECT id FROM dag WHERE dag_id = 'latest')",
    ],
    "I17": [
        f"UPDATE task_instance SET max_tries = 1 WHERE id = {A_DONE}",
        f"UPDATE task_instance SET try_number = 1 WHERE id = {A_DONE}",
    ],
    "I18": [
        f"UPDATE ti_history SET at = at + 5000000 WHERE ti_id = {A_DONE} AND new = 'up_for_retry'",
    ],
    "I19": [f"UPDATE attempt SET outcome = 'lost' WHERE ti_id = {A_DONE}"],
    "I23": ["INSERT INTO limit_history (kind, name, size, after_ti_seq, at) VALUES ('pause', 'd', 1, 0, 0)"],
    "I24": [
        "UPDATE ti_history SET seq = seq + 1000000 WHERE new = 'success' AND ti_id ="
        f" (SELECT MIN(id) FROM task_instance WHERE task_id = '{name}')"
        for name in "xy"
    ],
    "I21": [
        f"UPDATE task_instance SET dag_version_id = 2 WHERE id = {A_DONE}",
        "UPDATE dag_version SET structure = replace(structure, '\"Test\"', '\"Other\"') WHERE id = 1",
        "UPDATE blob SET content = x'79'",
        "UPDATE bundle SET files = '{}'",
        "DELETE FROM blob",
        "DELETE FROM bundle",
        "UPDATE dag_revision SET sources = '{}'",
        "UPDATE dag_run SET source_rev = 'other' WHERE run_id = 'pinned'",
    ],
}


def test_every_invariant_is_broken_here():
    assert set(BROKEN) == set(CHECKS)


@pytest.mark.parametrize(
    ("invariant", "statement"), [(name, text) for name, texts in BROKEN.items() for text in texts]
)
def test_a_broken_promise_is_found(engine, invariant, statement):
    with engine.store.write("audit") as tx:
        tx.conn.exec_driver_sql("DROP INDEX IF EXISTS uq_ti_history_ti_id_version")
        tx.conn.exec_driver_sql("DROP INDEX uq_dag_run_dag_pk_run_type_logical_date")
        changed = tx.conn.exec_driver_sql(statement).rowcount
    assert changed > 0
    found = verify(engine.store)
    assert invariant in {finding.invariant for finding in found}
    assert all(finding.message for finding in found)


def test_only_the_named_invariants_are_checked(engine):
    with engine.store.write("audit") as tx:
        tx.conn.exec_driver_sql("UPDATE dag_run SET state = 'failed' WHERE run_id = 'done'")
    assert verify(engine.store, only=["I2"]) == []
    assert verify(engine.store, only=["I14"])
