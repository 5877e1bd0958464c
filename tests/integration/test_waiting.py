"""Waits on read: for each kind of wait the code, what blocks it, and a remedy."""

from typing import Any

import pytest
from tests.integration.harness import spec_of

from orch.domain.dagspec import DagSpec, RetrySpec, TaskSpec
from orch.domain.reasons import REASONS
from orch.store.queries import limits, reading, reading_tasks, waiting
from orch.store.queries.waiting import Wait


def waits_of(engine, dag_id, run_id="manual__1") -> dict[str, Any]:
    """The wait of the run under "", and that of each task; every code must have its sentence."""
    with engine.store.read() as tx:
        run = reading.find_run(tx, dag_id, run_id)
        spec = reading.spec_of(tx, run.dag_version_id)
        tasks = reading_tasks.list_task_instances(tx, run.run_pk)
        facts = waiting.facts_of(tx, run, spec, tasks)
        found = {task.task_id: waiting.wait_of_task(tx, facts, task) for task in tasks}
        found[""] = waiting.wait_of_run(tx, facts)
        shown = {task.task_id: task.reason for task in waiting.with_reasons(facts)}
    for name, wait in found.items():
        assert wait is None or wait.reason in REASONS
        assert not name or shown[name] == (wait.reason if wait else None)
    return found


def reason(wait: Wait | None) -> str | None:
    return wait.reason if wait else None


def test_a_new_run_waits_for_its_turn(engine):
    engine.add_dag(spec_of({"a": "", "b": "a"}))
    engine.trigger("d")
    waits = waits_of(engine, "d")
    assert (reason(waits[""]), reason(waits["a"]), reason(waits["b"])) == (
        "run_queued",
        "not_evaluated",
        "upstream_not_done",
    )
    assert waits["b"].blocking == ("a",)


def test_a_run_over_the_limit_names_the_runs_before_it(engine):
    engine.add_dag(DagSpec("d", (TaskSpec("t", "Test"),), max_active_runs=1))
    engine.trigger("d", "first")
    engine.scheduler.run_once()
    engine.trigger("d", "second")
    engine.scheduler.run_once()
    wait = waits_of(engine, "d", "second")[""]
    assert (wait.reason, wait.blocking) == ("max_active_runs", ("d first",))


def test_tasks_over_the_limit_of_the_dag_name_who_has_the_slots(engine):
    engine.add_dag(DagSpec("d", (TaskSpec("t1", "Test"), TaskSpec("t2", "Test")), max_active_tasks=1))
    engine.trigger("d")
    engine.scheduler.run_once()
    waits = waits_of(engine, "d")
    waiting_task = next(wait for wait in waits.values() if reason(wait) == "max_active_tasks")
    (holder,) = waiting_task.blocking
    assert holder in {"d manual__1 t1", "d manual__1 t2"}


def test_a_full_pool_names_who_has_its_slots(engine):
    with engine.store.write("register_dags") as tx:
        limits.set_size(tx, "pool", "tiny", 1)
    engine.add_dag(spec_of({"x": ""}, "holder", pool="tiny"))
    engine.trigger("holder")
    engine.scheduler.run_once()
    engine.add_dag(spec_of({"y": ""}, "waits", pool="tiny"))
    engine.trigger("waits")
    engine.scheduler.run_once()
    wait = waits_of(engine, "waits")["y"]
    assert (wait.reason, wait.blocking) == ("pool_full", ("holder manual__1 x",))


def test_a_paused_dag_is_the_reason_for_its_runs(engine):
    engine.add_dag(spec_of({"a": ""}), paused=True)
    engine.trigger("d")
    engine.scheduler.run_once()
    assert reason(waits_of(engine, "d")[""]) == "dag_paused"


def test_a_queued_task_waits_for_a_worker_and_a_running_one_runs(engine):
    engine.add_dag(spec_of({"a": "", "b": ""}))
    engine.trigger("d")
    engine.scheduler.run_once()
    engine.execution.claim(engine.worker, ["LocalExecutor"], 1)
    assert sorted(reason(waits_of(engine, "d")[name]) or "" for name in "ab") == [
        "awaiting_worker",
        "running",
    ]


def test_a_failed_try_waits_for_its_delay(engine):
    engine.add_dag(spec_of({"a": ""}, retry=RetrySpec(2, delay_seconds=60)))
    engine.trigger("d")
    engine.run(lambda _: "failed")
    assert reason(waits_of(engine, "d")["a"]) == "retry_delay"


def test_a_failed_run_names_the_failed_task_as_what_blocks_the_others(engine):
    engine.add_dag(spec_of({"a": "", "ok": "", "b": "a ok"}))
    engine.trigger("d")
    engine.run(lambda claim: "failed" if claim.task_id == "a" else "success")
    waits = waits_of(engine, "d")
    assert waits[""] is None
    assert waits["ok"] is None
    assert (reason(waits["b"]), waits["b"].blocking) == ("upstream_failed", ("a",))


def test_since_is_when_the_state_was_entered(engine):
    engine.add_dag(spec_of({"a": ""}))
    before = engine.clock.now
    engine.trigger("d")
    engine.clock.advance(seconds=90)
    wait = waits_of(engine, "d")["a"]
    assert 0 <= (wait.since - before).total_seconds() < 1


def test_very_many_blockers_are_cut_off(engine):
    edges = {f"t{n}": "" for n in range(50)} | {"last": " ".join(f"t{n}" for n in range(50))}
    engine.add_dag(spec_of(edges))
    engine.trigger("d")
    assert len(waits_of(engine, "d")["last"].blocking) == waiting.MOST_BLOCKERS


def test_a_task_of_a_pool_that_does_not_exist_waits_and_names_it(engine):
    engine.add_dag(spec_of({"a": ""}, pool="nosuch"))
    engine.trigger("d")
    engine.scheduler.run_once()
    wait = waits_of(engine, "d")["a"]
    assert (wait.reason, wait.blocking) == ("pool_missing", ("nosuch",))
    with engine.store.write("audit") as tx:
        limits.set_size(tx, "pool", "nosuch", 1)
    engine.run()
    assert engine.run_state() == "success"


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [("failed", "task_failed"), ("fatal", "failed_for_good"), ("skipped", "skipped_by_task")],
)
def test_an_end_that_is_no_success_has_its_reason(engine, behaviour, code):
    engine.add_dag(spec_of({"a": ""}))
    engine.trigger("d")
    engine.run(lambda _: behaviour)
    assert reason(waits_of(engine, "d")["a"]) == code


def test_the_last_try_and_a_skip_by_rule_have_their_reasons(engine):
    tasks = (
        TaskSpec("a", "Test", retry=RetrySpec(1, delay_seconds=0)),
        TaskSpec("b", "Test", ("a",), trigger_rule="all_skipped"),
    )
    engine.add_dag(DagSpec("d", tasks))
    engine.trigger("d")
    engine.run(lambda claim: "failed" if claim.task_id == "a" else "success")
    waits = waits_of(engine, "d")
    assert (reason(waits["a"]), reason(waits["b"])) == ("tries_used_up", "skipped_by_trigger_rule")


def test_what_was_taken_back_or_handed_back_says_so_until_it_is_queued_again(engine):
    from orch.store.rescue import rescue_process

    engine.add_dag(spec_of({"a": ""}))
    engine.trigger("d")
    engine.scheduler.run_once()
    (claim,) = engine.execution.claim(engine.worker, ["LocalExecutor"], 1)
    engine.execution.hand_back(engine.worker, [(claim.ti_id, claim.epoch, claim.nonce)])
    assert reason(waits_of(engine, "d")["a"]) == "handed_back"
    engine.scheduler.run_once()
    engine.execution.claim(engine.worker, ["LocalExecutor"], 1)
    with engine.store.write("rescue") as tx:
        rescue_process(tx, engine.worker, "test", 3)
    assert reason(waits_of(engine, "d")["a"]) == "infrastructure_loss"


def test_a_full_executor_names_what_it_has_taken(engine):
    with engine.store.write("audit") as tx:
        limits.set_size(tx, "executor", "LocalExecutor", 1)
    engine.add_dag(spec_of({"a": "", "b": ""}))
    engine.trigger("d")
    engine.scheduler.run_once()
    full = [wait for wait in waits_of(engine, "d").values() if reason(wait) == "executor_full"]
    assert [wait.blocking for wait in full] == [("d manual__1 a",)]


def test_what_may_run_but_was_not_looked_at_yet_awaits_admission(engine):
    engine.add_dag(spec_of({"a": ""}))
    engine.trigger("d")
    engine.scheduler.run_once()
    (claim,) = engine.execution.claim(engine.worker, ["LocalExecutor"], 1)
    engine.execution.hand_back(engine.worker, [(claim.ti_id, claim.epoch, claim.nonce)])
    with engine.store.write("audit") as tx:
        tx.execute("UPDATE task_instance SET reason = NULL")
    assert reason(waits_of(engine, "d")["a"]) == "awaiting_admission"


def test_a_task_wider_than_its_whole_pool_says_so(engine):
    with engine.store.write("audit") as tx:
        limits.set_size(tx, "pool", "db", 2)
    engine.add_dag(DagSpec("d", (TaskSpec("a", "Test", pool="db", pool_slots=5),)))
    engine.trigger("d")
    engine.scheduler.run_once()
    wait = waits_of(engine, "d")["a"]
    assert (wait.reason, wait.blocking) == ("pool_too_small", ("db",))


def test_a_task_whose_upstreams_have_ended_waits_for_a_scheduler_and_not_for_them(engine):
    engine.add_dag(spec_of({"a": "", "b": "a"}))
    engine.trigger("d")
    engine.scheduler.run_once()
    assert reason(waits_of(engine, "d")["b"]) == "upstream_not_done"
    engine.work()
    assert reason(waits_of(engine, "d")["b"]) == "not_evaluated"
