"""One bad value stops nobody else: a run, a pool, a DAG or a schedule that cannot be handled is alone with it."""

from datetime import UTC, datetime

import pytest
from tests.integration.harness import spec_of

from orch.domain.dagspec import DagSpec, TaskSpec
from orch.scheduler.create_runs import MOST_QUEUED
from orch.scheduler.service import Scheduler, SchedulerLost
from orch.store.execution import MOST_INPUT_BYTES
from orch.store.queries import limits
from orch.store.rescue import rescue_process


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE dag_run SET logical_date = -99999999999999999 WHERE run_id = 'bad'",
        "UPDATE dag_run SET conf = '" + '{"a":' * 5000 + "1" + "}" * 5000 + "' WHERE run_id = 'bad'",
        "UPDATE dag_run SET conf = 'no JSON' WHERE run_id = 'bad'",
    ],
)
def test_a_run_whose_context_cannot_be_read_fails_alone(engine, damage):
    engine.add_dag(spec_of({"a": "", "b": "a"}))
    engine.trigger("d", "bad")
    engine.trigger("d", "good")
    with engine.store.write("audit") as tx:
        tx.execute(damage)
    engine.run()
    assert engine.run_state("good") == "success"
    assert engine.states("bad") == {"a": "failed", "b": "upstream_failed"}
    assert engine.value("SELECT reason FROM task_instance WHERE state = 'failed'") == "unrunnable"


def test_a_task_wider_than_its_pool_holds_nobody_back_and_says_why(engine):
    wide = TaskSpec("wide", "Test", pool="db", pool_slots=5, priority_weight=9)
    narrow = TaskSpec("narrow", "Test", pool="db")
    with engine.store.write("audit") as tx:
        limits.set_size(tx, "pool", "db", 2)
    engine.add_dag(DagSpec("d", (wide, narrow)))
    engine.trigger("d")
    engine.run()
    assert engine.states() == {"wide": "scheduled", "narrow": "success"}
    with engine.store.write("audit") as tx:
        limits.set_size(tx, "pool", "db", 5)
    engine.run()
    assert engine.run_state() == "success"


def test_dags_at_their_limit_do_not_hide_the_runs_of_others(engine):
    for number in range(4):
        engine.add_dag(DagSpec(f"full{number}", spec_of({"a": ""}).tasks, max_active_runs=1))
        for run in range(300):
            engine.trigger(f"full{number}", f"f{number}_{run}")
    engine.scheduler.run_once()
    engine.add_dag(spec_of({"a": ""}, "other"))
    engine.trigger("other", "mine")
    engine.scheduler.run_once()
    assert engine.run_state("mine") == "running"


def test_a_limit_of_runs_that_is_lifted_lets_them_all_go(engine):
    engine.add_dag(DagSpec("d", spec_of({"a": ""}).tasks, max_active_runs=1))
    for number in range(3):
        engine.trigger("d", f"r{number}")
    engine.scheduler.run_once()
    with engine.store.write("audit") as tx:
        limits.set_size(tx, "dag_runs", "d", -1)
    engine.scheduler.run_once()
    assert engine.value("SELECT COUNT(*) FROM dag_run WHERE state = 'running'") == 3


def test_a_long_catch_up_comes_bit_by_bit(engine):
    spec = spec_of({"a": ""})
    start = datetime(2020, 1, 1, tzinfo=UTC)
    engine.add_dag(DagSpec("d", spec.tasks, schedule="* * * * *", start_date=start, catchup=True))
    for _ in range(30):
        engine.scheduler.run_once()
    queued = engine.value("SELECT COUNT(*) FROM dag_run WHERE state = 'queued'")
    assert queued == MOST_QUEUED
    engine.work()
    for _ in range(3):
        engine.scheduler.run_once()
    assert engine.value("SELECT COUNT(*) FROM dag_run") > MOST_QUEUED


def test_a_scheduler_that_was_taken_for_dead_ends_so_that_a_new_one_starts(engine, tmp_path):
    scheduler = engine.scheduler
    scheduler._register("nowhere", tmp_path / "lock")
    with engine.store.write("rescue") as tx:
        rescue_process(tx, scheduler.context.incarnation, "test", 3)
    scheduler._next_heartbeat = 0.0
    with pytest.raises(SchedulerLost):
        scheduler._live("nowhere", tmp_path / "lock")


def test_an_idle_scheduler_wakes_for_its_heartbeat_whatever_the_polling(engine, monkeypatch):
    scheduler = engine.scheduler
    scheduler._next_heartbeat = 0.0
    assert scheduler._pause() == 0.0


def test_a_scoped_scheduler_also_works_on_older_runs_of_its_dag_and_on_no_other(engine):
    engine.add_dag(DagSpec("d", spec_of({"a": ""}).tasks, max_active_runs=1))
    engine.add_dag(spec_of({"a": ""}, "other"))
    engine.trigger("d", "left_behind")
    engine.trigger("other", "not_mine")
    engine.scheduler.run_once()
    engine.trigger("d", "mine")
    run_pk = engine.value("SELECT id FROM dag_run WHERE run_id = 'mine'")
    scoped = Scheduler(engine.settings, engine.store, engine.plugins, scope_run_pk=run_pk)
    for _ in range(10):
        scoped.run_once()
        claimed = engine.execution.claim(engine.worker, ["LocalExecutor"], 10, run_pk)
        engine.execution.report(engine.worker, [engine.report_of(one, "success") for one in claimed])
    assert (engine.run_state("left_behind"), engine.run_state("mine")) == ("success", "success")
    assert engine.run_state("not_mine") == "running"


def test_inputs_that_are_large_together_are_left_to_the_task_to_ask_for(engine):
    many = [TaskSpec(f"t{n}", "Test") for n in range(3)]
    sink = TaskSpec(
        "z", "Test", tuple(t.task_id for t in many), inputs=tuple((t.task_id, "return_value") for t in many)
    )
    engine.add_dag(DagSpec("d", (*many, sink)))
    engine.trigger("d")
    engine.scheduler.run_once()
    engine.work()
    with engine.store.write("audit") as tx:
        tx.execute(f"UPDATE xcom SET value = '\"' || hex(zeroblob({MOST_INPUT_BYTES // 4})) || '\"'")
    engine.scheduler.run_once()
    (claim,) = engine.execution.claim(engine.worker, ["LocalExecutor"], 1)
    assert claim.inputs_left_out
    assert {value for *_, value in claim.inputs} == {None}
    assert len(engine.execution.xcom(claim.run_pk, "t0", "return_value") or "") > 1000


def test_attempts_lost_with_their_host_use_no_try_and_fail_after_the_limit(engine):
    engine.add_dag(spec_of({"a": ""}))
    engine.trigger("d")
    for _ in range(3):
        engine.scheduler.run_once()
        (claim,) = engine.execution.claim(engine.worker, ["LocalExecutor"], 1)
        engine.execution.lost(engine.worker, [(claim.ti_id, claim.epoch, "0" * 32)])
        assert engine.states() == {"a": "running"}
        engine.execution.lost(engine.worker, [(claim.ti_id, claim.epoch, claim.nonce)])
        assert engine.execution.report(engine.worker, [engine.report_of(claim, "success")]) == ["refused"]
    engine.scheduler.run_once()
    assert engine.states() == {"a": "failed"}
    assert engine.value("SELECT try_number FROM task_instance") == 1
