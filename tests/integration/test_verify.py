"""Verify: each invariant is seen when it is broken on purpose."""

import pytest
from tests.integration.harness import Engine, spec_of

from orch.domain.dagspec import DagSpec, RetrySpec, TaskSpec
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
    engine.check()
    yield engine
    engine.store.close()


RUNNING = "(SELECT id FROM task_instance WHERE state = 'running')"
QUEUED = "(SELECT id FROM task_instance WHERE state = 'queued')"
A_DONE = "(SELECT MIN(id) FROM task_instance WHERE task_id = 'a')"
B_DONE = "(SELECT MIN(id) FROM task_instance WHERE task_id = 'b')"
OPEN_RUN = "(SELECT id FROM dag_run WHERE run_id = 'open')"

BROKEN = {
    "I1": [
        f"UPDATE task_instance SET version = version + 1 WHERE id = {A_DONE}",
        f"UPDATE task_instance SET state = 'failed' WHERE id = {A_DONE}",
        f"UPDATE ti_history SET old = 'queued' WHERE ti_id = {A_DONE} AND version = 2",
        f"DELETE FROM ti_history WHERE ti_id = {A_DONE} AND version = 1",
        "UPDATE task_instance SET state = 'success' WHERE state = 'none'",
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
    "I9": ["UPDATE limit_history SET size = 0 WHERE kind = 'pool'"],
    "I10": [
        "UPDATE limit_history SET size = 0 WHERE kind = 'dag_runs' AND name = 'd'",
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
    "I17": [
        f"UPDATE task_instance SET max_tries = 1 WHERE id = {A_DONE}",
        f"UPDATE task_instance SET try_number = 1 WHERE id = {A_DONE}",
    ],
    "I18": [
        f"UPDATE ti_history SET at = at + 5000000 WHERE ti_id = {A_DONE} AND new = 'up_for_retry'",
    ],
    "I19": [f"UPDATE attempt SET outcome = 'lost' WHERE ti_id = {A_DONE}"],
    "I23": ["INSERT INTO limit_history (kind, name, size, after_ti_seq, at) VALUES ('pause', 'd', 1, 0, 0)"],
    "I21": [
        f"UPDATE task_instance SET dag_version_id = 2 WHERE id = {A_DONE}",
        "UPDATE dag_version SET structure = replace(structure, '\"Test\"', '\"Other\"') WHERE id = 1",
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
        changed = tx.conn.exec_driver_sql(statement).rowcount
    assert changed > 0
    found = verify(engine.store)
    assert invariant in {finding.invariant for finding in found}
    assert all(finding.message for finding in found)


def test_only_the_named_invariants_are_checked(engine):
    with engine.store.write("audit") as tx:
        tx.conn.exec_driver_sql("UPDATE dag_run SET state = 'failed' WHERE run_id = 'done'")
    assert verify(engine.store, only=["I1"]) == []
    assert verify(engine.store, only=["I14"])
