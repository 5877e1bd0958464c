"""dagrun_timeout and fail_fast on a real database: what is left ends once, whatever else happens at that moment."""

import itertools

import pytest
from tests.integration.harness import spec_of

from orch.domain.dagspec import DagSpec, RetrySpec, TaskSpec
from orch.hints import REVOKED
from orch.scheduler.service import Scheduler
from orch.store.rescue import rescue_process

EXECUTORS = ["LocalExecutor"]


def add(engine, *tasks, **values):
    engine.add_dag(DagSpec("d", tasks, **values))
    engine.trigger("d")
    engine.scheduler.run_once()


def claim(engine, *task_ids):
    """Claim until these have been claimed; return their claims in this order."""
    found = {one.task_id: one for one in engine.execution.claim(engine.worker, EXECUTORS, 100)}
    return [found[task_id] for task_id in task_ids]


def settle(engine):
    while engine.scheduler.run_once():
        pass


def reasons(engine):
    with engine.store.read() as tx:
        return dict(tx.rows("SELECT task_id, reason FROM task_instance"))


def run_reason(engine):
    return engine.value("SELECT reason FROM dag_run")


def outcomes(engine):
    with engine.store.read() as tx:
        return tx.rows("SELECT outcome, error FROM attempt ORDER BY ti_id, epoch")


def test_a_run_out_of_time_ends_with_everything_in_it(engine):
    tasks = (
        TaskSpec("runs", "Test"),
        TaskSpec("retries", "Test", retry=RetrySpec(3, delay_seconds=3600)),
        TaskSpec("below", "Test", ("runs",)),
        TaskSpec("done", "Test"),
    )
    add(engine, *tasks, dagrun_timeout_seconds=60)
    runs, retries, done = claim(engine, "runs", "retries", "done")
    reports = [engine.report_of(retries, "failed"), engine.report_of(done, "success")]
    engine.execution.report(engine.worker, reports)
    settle(engine)
    engine.clock.advance(seconds=59)
    assert engine.scheduler.run_once() == 0
    engine.clock.advance(seconds=2)
    settle(engine)
    assert engine.states() == {
        "runs": "cancelled", "retries": "cancelled", "below": "skipped", "done": "success"
    }  # fmt: skip
    assert (engine.run_state(), run_reason(engine)) == ("failed", "dagrun_timeout")
    assert {name for name, why in reasons(engine).items() if why == "dagrun_timeout"} == {
        "runs", "retries", "below"
    }  # fmt: skip
    assert engine.value("SELECT epoch FROM task_instance WHERE task_id = 'runs'") == runs.epoch + 1
    reply = engine.execution.heartbeat(engine.worker, [(runs.ti_id, runs.epoch)], 60, 60)
    assert reply.revoked == ((runs.ti_id, runs.epoch),)
    assert reply.why == {
        (runs.ti_id, runs.epoch): "ended: the run took longer than its dagrun_timeout of 60 s"
    }


def test_the_time_of_a_run_counts_from_its_promotion(engine):
    engine.add_dag(DagSpec("d", (TaskSpec("a", "Test"),), dagrun_timeout_seconds=60))
    engine.trigger("d")
    engine.clock.advance(seconds=300)
    settle(engine)
    engine.clock.advance(seconds=59)
    engine.run()
    assert engine.run_state() == "success"


def test_a_timed_out_run_without_a_worker_leaves_no_dispatch(engine):
    add(engine, TaskSpec("a", "Test"), dagrun_timeout_seconds=60)
    engine.clock.advance(seconds=61)
    settle(engine)
    assert engine.states() == {"a": "cancelled"}
    assert engine.value("SELECT COUNT(*) FROM dispatch") == 0
    assert engine.execution.claim(engine.worker, EXECUTORS, 1) == []


def test_time_runs_out_for_a_paused_dag_and_for_one_that_waits_for_the_past_too(engine):
    engine.add_dag(DagSpec("d", (TaskSpec("a", "Test", depends_on_past=True),), dagrun_timeout_seconds=60))
    engine.trigger("d", "one")
    engine.trigger("d", "two")
    settle(engine)
    assert engine.states("two") == {"a": "none"}
    engine.clock.advance(seconds=61)
    settle(engine)
    assert (engine.states("one"), engine.states("two")) == ({"a": "cancelled"}, {"a": "skipped"})
    assert engine.value("SELECT COUNT(*) FROM waiter") == 0


def test_a_large_run_ends_in_batches_also_across_a_restart(engine):
    spec = spec_of({f"t{n}": "" for n in range(1200)})
    engine.add_dag(DagSpec("d", spec.tasks, dagrun_timeout_seconds=60))
    engine.trigger("d")
    settle(engine)
    engine.clock.advance(seconds=61)
    engine.scheduler.run_once()
    assert engine.run_state() == "running"
    late = engine.value("SELECT COUNT(*) FROM task_instance WHERE state = 'scheduled'")
    assert 0 < late < 1200
    engine.scheduler = Scheduler(engine.settings, engine.store, engine.plugins)
    settle(engine)
    assert (engine.run_state(), run_reason(engine)) == ("failed", "dagrun_timeout")


def test_the_first_failure_ends_a_run_that_fails_fast(engine):
    tasks = (TaskSpec("a", "Test"), TaskSpec("b", "Test"), TaskSpec("c", "Test", ("b",)))
    add(engine, *tasks, fail_fast=True)
    bad, _ = claim(engine, "a", "b")
    engine.execution.report(engine.worker, [engine.report_of(bad, "failed")])
    settle(engine)
    assert engine.states() == {"a": "failed", "b": "cancelled", "c": "skipped"}
    assert reasons(engine) == {"a": "task_failed", "b": "fail_fast", "c": "fail_fast"}
    assert (engine.run_state(), run_reason(engine)) == ("failed", "fail_fast")
    why = "ended: another task of the run has failed, and the DAG has fail_fast"
    assert outcomes(engine) == [("failed", "failed on purpose"), ("revoked", why)]


def test_a_failure_that_is_tried_again_ends_nothing(engine):
    tasks = (TaskSpec("a", "Test", retry=RetrySpec(1, delay_seconds=1)), TaskSpec("b", "Test"))
    add(engine, *tasks, fail_fast=True)
    bad, _ = claim(engine, "a", "b")
    engine.execution.report(engine.worker, [engine.report_of(bad, "failed")])
    settle(engine)
    assert engine.states() == {"a": "up_for_retry", "b": "running"}
    engine.clock.advance(seconds=2)
    engine.run(lambda _: "failed")
    assert engine.states() == {"a": "failed", "b": "cancelled"}


def test_too_many_lost_workers_fail_a_task_and_with_it_the_run(engine):
    add(engine, TaskSpec("a", "Test"), TaskSpec("b", "Test"), fail_fast=True)
    (one,) = [c for c in engine.execution.claim(engine.worker, EXECUTORS, 1) if c.task_id == "a"]
    engine.execution._infra_loss_limit = 1
    engine.execution.lost(engine.worker, [(one.ti_id, one.epoch, one.nonce)])
    settle(engine)
    assert engine.states() == {"a": "failed", "b": "cancelled"}


def test_teardown_tasks_run_by_their_rules_after_a_failure(engine):
    tasks = (
        TaskSpec("work", "Test"),
        TaskSpec("beside", "Test", ("work",)),
        TaskSpec("clean", "Test", ("work",), trigger_rule="all_done", is_teardown=True),
    )
    add(engine, *tasks, fail_fast=True)
    engine.run(lambda one: "failed" if one.task_id == "work" else "success")
    assert engine.states() == {"work": "failed", "beside": "skipped", "clean": "success"}
    assert (engine.run_state(), run_reason(engine)) == ("failed", "fail_fast")


def test_a_run_of_a_dag_that_fails_fast_succeeds_when_nothing_fails(engine):
    add(
        engine,
        TaskSpec("a", "Test"),
        TaskSpec("b", "Test", ("a",)),
        fail_fast=True,
        dagrun_timeout_seconds=60,
    )
    engine.run()
    assert (engine.run_state(), run_reason(engine)) == ("success", None)


def report(engine, one):
    return engine.execution.report(engine.worker, [engine.report_of(one, "success")])


def hand_back(engine, one):
    engine.execution.hand_back(engine.worker, [(one.ti_id, one.epoch, one.nonce)])


def lose(engine, one):
    engine.execution.lost(engine.worker, [(one.ti_id, one.epoch, one.nonce)])


def beat(engine, _):
    engine.execution.heartbeat(engine.worker, [], 60, 0)


def die(engine, _):
    with engine.store.write("rescue") as tx:
        rescue_process(tx, engine.worker, "test", 3)
    engine.worker = f"{engine.worker}x"
    engine.register_worker(engine.worker)


def time_out(engine, _):
    engine.clock.advance(seconds=61)
    settle(engine)


def schedule(engine, _):
    engine.scheduler.run_once()


EVENTS = (report, hand_back, lose, beat, die, schedule)


@pytest.mark.parametrize("orders", [EVENTS[n : n + 2] for n in range(5)] + [(report, die), (lose, hand_back)])
def test_in_every_order_of_events_one_of_them_wins_and_the_promises_hold(engine, orders):
    """T5, T8, T12 and T15 of one attempt race; each order gives one history that verify accepts."""
    for number, order in enumerate(itertools.permutations((time_out, *orders))):
        spec = DagSpec(f"d{number}", (TaskSpec("a", "Test"),), dagrun_timeout_seconds=60)
        engine.add_dag(spec)
        engine.trigger(spec.dag_id, f"run{number}")
        settle(engine)
        one = next(
            c for c in engine.execution.claim(engine.worker, EXECUTORS, 100) if c.dag_id == spec.dag_id
        )
        for event in order:
            event(engine, one)
        settle(engine)
        winner = next(event for event in order if event is not schedule)
        final = "success" if winner is report else "cancelled"
        assert engine.states(f"run{number}") == {"a": final}, order
        engine.check()


def test_a_report_after_the_end_is_refused_however_often_it_comes(engine):
    add(engine, TaskSpec("a", "Test"), dagrun_timeout_seconds=60)
    (one,) = claim(engine, "a")
    time_out(engine, one)
    for kind in ("success", "failed", "success"):
        assert engine.execution.report(engine.worker, [engine.report_of(one, kind)]) == ["refused"]
    assert engine.states() == {"a": "cancelled"}
    assert engine.value("SELECT COUNT(*) FROM xcom") == 0


def test_a_report_just_before_the_end_counts_and_the_run_has_succeeded(engine):
    add(engine, TaskSpec("a", "Test"), dagrun_timeout_seconds=60)
    (one,) = claim(engine, "a")
    engine.clock.advance(seconds=61)
    assert report(engine, one) == ["accepted"]
    settle(engine)
    assert (engine.run_state(), run_reason(engine)) == ("success", None)


def test_the_workers_are_hinted_after_the_commit_that_took_their_attempts(engine):
    hints: list[bytes] = []
    engine.scheduler.context.hint_workers = hints.append
    add(engine, TaskSpec("a", "Test"), dagrun_timeout_seconds=60)
    claim(engine, "a")
    time_out(engine, None)
    assert hints == [REVOKED]
