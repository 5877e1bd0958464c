"""Waits on read: for each kind of wait the code, what blocks it, and a remedy."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from tests.integration.harness import spec_of

from orch.domain.dagspec import DagSpec, RetrySpec, TaskSpec
from orch.domain.reasons import REASONS
from orch.domain.states import Actor, TaskState
from orch.operations import backfill
from orch.operations.backfill_plan import BackfillRequest
from orch.operations.pause import pause
from orch.scheduler.backfills import advance_backfills
from orch.store.queries import limits, reading, reading_tasks, run_creation, runs, waiting
from orch.store.queries.run_creation import NewRun
from orch.store.queries.transitions import By, TaskMove, move_tasks
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
        "run_not_begun",
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


def test_a_task_of_a_pool_of_no_slots_names_the_pool(engine):
    with engine.store.write("audit") as tx:
        limits.set_size(tx, "pool", "db", 0)
    engine.add_dag(spec_of({"a": ""}, pool="db"))
    engine.trigger("d")
    engine.scheduler.run_once()
    wait = waits_of(engine, "d")["a"]
    assert (wait.reason, wait.blocking) == ("pool_without_slots", ("db",))


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


def daily_filled(engine, services, me):
    """A backfill whose two runs are queued and not started."""
    engine.add_dag(replace(spec_of({"a": ""}), schedule="0 6 * * *"))
    backfill.create(services, me, BackfillRequest("d", date(2023, 1, 1), date(2023, 1, 2)))
    advance_backfills(engine.scheduler.context)
    return "backfill__1__2023-01-01T06:00:00+00:00"


def test_a_run_of_a_paused_backfill_names_it_and_since_when(engine, services, me):
    run_id = daily_filled(engine, services, me)
    engine.clock.advance(minutes=5)
    paused_at = engine.clock.now
    backfill.pause(services, me, 1)
    engine.run()
    wait = waits_of(engine, "d", run_id)[""]
    assert (wait.reason, wait.blocking) == ("backfill_paused", ("backfill 1",))
    assert timedelta() < wait.since - paused_at < timedelta(seconds=1)
    assert "orch backfill resume" in REASONS[wait.reason].remedy
    pause(services, me, "d")
    assert waits_of(engine, "d", run_id)[""].reason == "dag_paused"


def test_a_task_of_a_cancelled_backfill_says_so(engine, services, me):
    run_id = daily_filled(engine, services, me)
    backfill.cancel(services, me, 1)
    cancelled_at = engine.clock.now
    waits = waits_of(engine, "d", run_id)
    assert (waits["a"].reason, waits["a"].blocking, waits[""]) == ("backfill_cancelled", (), None)
    assert abs(waits["a"].since - cancelled_at) < timedelta(seconds=1)
    assert REASONS["backfill_cancelled"].remedy.startswith("Make another backfill")


def test_runs_of_a_backfill_do_not_stand_in_the_way_of_others_of_the_dag(engine, services, me):
    engine.add_dag(replace(spec_of({"a": ""}), schedule="0 6 * * *", max_active_runs=1))
    backfill.create(services, me, BackfillRequest("d", date(2023, 1, 1), date(2023, 1, 2)))
    engine.trigger("d", "first")
    engine.scheduler.run_once()
    engine.trigger("d", "second")
    engine.scheduler.run_once()
    wait = waits_of(engine, "d", "second")[""]
    assert (wait.reason, wait.blocking) == ("max_active_runs", ("d first",))


def past_dag(engine, **values):
    tasks = (TaskSpec("load", "Test", **values), TaskSpec("report", "Test", ("load",)))
    engine.add_dag(DagSpec("d", tasks))
    for name in ("one", "two"):
        engine.trigger("d", name)
        engine.clock.advance(seconds=1)
    engine.scheduler.run_once()


def test_a_task_held_by_the_run_before_names_the_task_there(engine):
    past_dag(engine, depends_on_past=True)
    wait = waits_of(engine, "d", "two")["load"]
    assert (wait.reason, wait.blocking) == ("depends_on_past", ("d one load",))
    assert "--logical-date" in REASONS[wait.reason].remedy
    with engine.store.read() as tx:
        assert wait.since == reading.find_run(tx, "d", "two").started_at
    engine.work()
    assert reason(waits_of(engine, "d", "two")["load"]) == "not_evaluated"
    engine.run()
    assert waits_of(engine, "d", "two")["load"] is None


def test_a_task_held_by_what_is_downstream_in_the_run_before_names_that(engine):
    past_dag(engine, wait_for_downstream=True)
    assert reason(waits_of(engine, "d", "two")["load"]) == "depends_on_past"
    engine.work()
    engine.scheduler.run_once()
    wait = waits_of(engine, "d", "two")["load"]
    assert (wait.reason, wait.blocking) == ("wait_for_downstream", ("d one report",))
    assert "--logical-date" in REASONS[wait.reason].remedy


def test_the_wait_for_the_run_before_began_with_the_end_of_the_last_upstream(engine):
    engine.add_dag(
        DagSpec("d", (TaskSpec("get", "Test"), TaskSpec("load", "Test", ("get",), depends_on_past=True)))
    )
    engine.trigger("d", "one")
    engine.run(lambda claim: "failed" if claim.task_id == "load" else "success")
    engine.trigger("d", "two")
    engine.clock.advance(seconds=30)
    engine.run()
    before = engine.clock.now
    engine.clock.advance(seconds=500)
    wait = waits_of(engine, "d", "two")["load"]
    assert (wait.reason, wait.blocking) == ("depends_on_past", ("d one load",))
    assert 0 <= (before - wait.since).total_seconds() < 1


def test_a_run_out_of_time_says_so_with_all_that_it_ended(engine):
    tasks = (TaskSpec("a", "Test"), TaskSpec("b", "Test", ("a",)))
    engine.add_dag(DagSpec("d", tasks, dagrun_timeout_seconds=60))
    engine.trigger("d")
    engine.scheduler.run_once()
    engine.clock.advance(seconds=61)
    ended_at = engine.clock.now
    engine.run()
    waits = waits_of(engine, "d")
    assert {name: reason(wait) for name, wait in waits.items()} == dict.fromkeys(
        ("", "a", "b"), "dagrun_timeout"
    )
    assert all(wait.blocking == () for wait in waits.values())
    assert 0 <= (waits[""].since - ended_at).total_seconds() < 1
    assert "Raise it" in REASONS["dagrun_timeout"].remedy


def test_a_run_that_failed_fast_names_the_task_that_failed(engine):
    engine.add_dag(DagSpec("d", (TaskSpec("a", "Test"), TaskSpec("b", "Test", ("a",))), fail_fast=True))
    engine.trigger("d")
    engine.run(lambda _: "failed")
    waits = waits_of(engine, "d")
    for name in ("", "b"):
        assert (waits[name].reason, waits[name].blocking) == ("fail_fast", ("a",))
    assert reason(waits["a"]) == "task_failed"
    assert "log" in REASONS["fail_fast"].remedy


def test_a_run_whose_time_has_not_come_says_that_it_is_not_due(engine):
    engine.add_dag(spec_of({"a": ""}))
    later = engine.clock.now + timedelta(hours=1)
    with engine.store.write("create_run") as tx:
        row = run_creation.find_dag(tx, "d")
        assert row is not None
        new = NewRun("d", "later", "manual", later, logical_date=engine.clock.now)
        run_creation.create_run(
            tx, row, new, default_executor="LocalExecutor", by=By(Actor.SCHEDULER, "test")
        )
    created_at = engine.clock.now
    engine.scheduler.run_once()
    wait = waits_of(engine, "d", "later")[""]
    assert (wait.reason, wait.blocking) == ("run_after", ())
    assert abs((wait.since - created_at).total_seconds()) < 1
    assert "not due yet" in REASONS["run_after"].sentence
    assert REASONS["run_after"].remedy == "Wait for that time."
    engine.clock.now = later
    assert reason(waits_of(engine, "d", "later")[""]) == "run_queued"
    engine.run()
    assert engine.run_state("later") == "success"


def test_a_task_at_its_own_limit_names_who_takes_it_and_since_when(engine):
    engine.add_dag(DagSpec("d", (TaskSpec("t", "Test", max_active_tis_per_dag=1),)))
    for run_id in ("r1", "r2"):
        engine.trigger("d", run_id)
    engine.scheduler.run_once()
    first = waits_of(engine, "d", "r2")["t"]
    assert (first.reason, first.blocking) == ("task_limit", ("d r1 t",))
    assert "`max_active_tis_per_dag`" in REASONS[first.reason].remedy
    engine.clock.advance(hours=1)
    assert waits_of(engine, "d", "r2")["t"].since == first.since
    assert (engine.clock.now - first.since).total_seconds() >= 3600


def test_a_task_at_its_limit_per_run_names_the_instance_of_its_own_run(engine):
    engine.add_dag(DagSpec("d", (TaskSpec("t", "Test", max_active_tis_per_dagrun=1),)))
    for run_id in ("r1", "r2"):
        engine.trigger("d", run_id)
    engine.scheduler.run_once()
    with engine.store.write("audit") as tx:  # another instance of the task in r2, as mapping will make them
        tx.execute(
            "INSERT INTO task_instance (run_pk, dag_pk, task_id, map_index, state, dag_version_id, pool, executor,"
            " lane, state_since) SELECT run_pk, dag_pk, task_id, 5, 'none', dag_version_id, pool, executor, lane,"
            " state_since FROM task_instance WHERE run_pk = 2"
        )
        row = runs.task_rows(tx, [3])[0]
        to = replace(row, state=TaskState.SCHEDULED)
        move_tasks(tx, [TaskMove(row, to)], By(Actor.SCHEDULER, "test"))
    engine.scheduler.run_once()
    with engine.store.read() as tx:
        run = reading.find_run(tx, "d", "r2")
        tasks = reading_tasks.list_task_instances(tx, run.run_pk)
        facts = waiting.facts_of(tx, run, reading.spec_of(tx, run.dag_version_id), tasks)
        wait = waiting.wait_of_task(tx, facts, tasks[1])
    assert wait is not None
    assert (wait.reason, wait.blocking) == ("run_task_limit", ("d r2 t",))
    assert 0 <= (wait.since - tasks[1].state_since).total_seconds() < 1
    assert "`max_active_tis_per_dagrun`" in REASONS[wait.reason].remedy


def test_free_slots_that_are_kept_for_a_wide_task_name_it(engine):
    with engine.store.write("audit") as tx:
        limits.set_size(tx, "pool", "db", 4)
    for dag_id, slots in (("holder", 2), ("wide", 3), ("narrow", 1)):
        engine.add_dag(spec_of({"t": ""}, dag_id, pool="db", pool_slots=slots))
        engine.trigger(dag_id)
        engine.scheduler.run_once()
        engine.clock.advance(seconds=1)
    wide, narrow = waits_of(engine, "wide")["t"], waits_of(engine, "narrow")["t"]
    assert (wide.reason, wide.blocking) == ("pool_full", ("holder manual__1 t",))
    assert (narrow.reason, narrow.blocking) == ("pool_reserved", ("wide manual__1 t",))
    with engine.store.read() as tx:
        run = reading.find_run(tx, "narrow", "manual__1")
        (row,) = reading_tasks.list_task_instances(tx, run.run_pk)
    assert narrow.since == row.state_since > wide.since
    assert "kept" in REASONS["pool_reserved"].sentence
    assert "more slots" in REASONS["pool_reserved"].remedy


def test_a_limit_is_named_as_soon_as_it_is_full_and_no_longer(engine):
    engine.add_dag(DagSpec("d", (TaskSpec("t", "Test"),), max_active_tasks=1))
    for run_id in ("r1", "r2"):
        engine.trigger("d", run_id)
    engine.scheduler.run_once()
    assert reason(waits_of(engine, "d", "r2")["t"]) == "max_active_tasks"
    engine.work()
    assert reason(waits_of(engine, "d", "r2")["t"]) == "awaiting_admission"
