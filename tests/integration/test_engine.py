"""The scheduler on a real database, with a worker that claims and reports at once."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.harness import random_spec, spec_of

from orch.domain.dagspec import DagSpec, RetrySpec, TaskSpec
from orch.domain.states import TERMINAL
from orch.domain.trigger_rules import TriggerRule
from orch.errors import Conflict

DIAMOND = {"a": "", "b": "a", "c": "a", "d": "b c"}


def test_a_diamond_runs_to_its_end_in_order(engine):
    engine.add_dag(spec_of(DIAMOND))
    engine.trigger("d")
    engine.run()
    assert engine.run_state() == "success"
    assert set(engine.states().values()) == {"success"}
    order = [claim.task_id for claim in engine.claims]
    assert order[0] == "a"
    assert order[-1] == "d"


def test_a_failure_fails_what_is_downstream_and_the_run(engine):
    engine.add_dag(spec_of(DIAMOND))
    engine.trigger("d")
    engine.run(lambda claim: "failed" if claim.task_id == "b" else "success")
    assert engine.states() == {"a": "success", "b": "failed", "c": "success", "d": "upstream_failed"}
    assert engine.run_state() == "failed"


def test_a_skip_spreads_under_all_success_and_stops_at_none_failed(engine):
    engine.add_dag(spec_of({"a": "", "b": "a", "c": "b"}, rules={"c": "none_failed"}))
    engine.trigger("d")
    engine.run(lambda claim: "skipped" if claim.task_id == "a" else "success")
    assert engine.states() == {"a": "skipped", "b": "skipped", "c": "success"}


def test_a_retry_waits_for_its_delay_and_then_succeeds(engine):
    engine.add_dag(DagSpec("d", (TaskSpec("a", "Test", retry=RetrySpec(2, delay_seconds=60)),)))
    engine.trigger("d")
    engine.run(lambda claim: "failed")
    assert engine.states() == {"a": "up_for_retry"}
    engine.clock.advance(seconds=61)
    engine.run()
    assert engine.run_state() == "success"
    assert [claim.try_number for claim in engine.claims] == [1, 2]


def test_the_last_try_fails_the_run(engine):
    engine.add_dag(DagSpec("d", (TaskSpec("a", "Test", retry=RetrySpec(1, delay_seconds=0)),)))
    engine.trigger("d")
    engine.run(lambda claim: "failed")
    assert engine.run_state() == "failed"
    assert engine.value("SELECT reason FROM task_instance") == "tries_used_up"


def test_a_fatal_failure_uses_no_more_tries(engine):
    engine.add_dag(DagSpec("d", (TaskSpec("a", "Test", retry=RetrySpec(5, delay_seconds=0)),)))
    engine.trigger("d")
    engine.run(lambda claim: "fatal")
    assert [claim.try_number for claim in engine.claims] == [1]


def test_max_active_tasks_bounds_what_is_queued_or_running(engine):
    spec = spec_of({f"t{n}": "" for n in range(20)})
    engine.add_dag(DagSpec("d", spec.tasks, max_active_tasks=3))
    engine.trigger("d")
    engine.scheduler.run_once()
    engine.scheduler.run_once()
    assert engine.value("SELECT COUNT(*) FROM task_instance WHERE state = 'queued'") == 3
    assert engine.value("SELECT saturated_since IS NOT NULL FROM limit_row WHERE kind = 'dag_tasks'") == 1
    engine.run()
    assert engine.run_state() == "success"
    assert engine.value("SELECT saturated_since IS NULL FROM limit_row WHERE kind = 'dag_tasks'") == 1


def test_max_active_runs_promotes_the_oldest_and_then_the_next(engine):
    engine.add_dag(DagSpec("d", spec_of({"a": ""}).tasks, max_active_runs=1))
    engine.trigger("d", "first")
    engine.clock.advance(seconds=1)
    engine.trigger("d", "second")
    engine.scheduler.run_once()
    assert (engine.run_state("first"), engine.run_state("second")) == ("running", "queued")
    assert engine.value("SELECT reason FROM dag_run WHERE run_id = 'second'") == "max_active_runs"
    engine.run()
    assert engine.run_state("second") == "success"


def test_a_pool_bounds_the_slots_of_all_dags(engine):
    with engine.store.write("audit") as tx:
        tx.many("UPDATE limit_row SET size = ? WHERE kind = 'pool'", [(2,)])
        tx.many("UPDATE limit_history SET size = ? WHERE kind = 'pool'", [(2,)])
    for name in ("x", "y"):
        engine.add_dag(spec_of({f"t{n}": "" for n in range(4)}, name))
        engine.trigger(name, f"run_{name}")
    engine.scheduler.run_once()
    assert engine.value("SELECT COUNT(*) FROM task_instance WHERE state = 'queued'") == 2
    engine.run()
    assert engine.run_state("run_x") == engine.run_state("run_y") == "success"


def test_nothing_of_a_paused_dag_is_promoted(engine):
    engine.add_dag(spec_of({"a": ""}), paused=True)
    engine.trigger("d")
    engine.run()
    assert engine.run_state() == "queued"


def test_an_empty_dag_is_a_success(engine):
    engine.add_dag(DagSpec("d"))
    engine.trigger("d")
    engine.run()
    assert engine.run_state() == "success"


def test_xcom_of_the_accepted_attempt_is_handed_to_the_next_task(engine):
    tasks = (TaskSpec("a", "Test"), TaskSpec("b", "Test", ("a",), inputs=(("a", "return_value"),)))
    engine.add_dag(DagSpec("d", tasks))
    engine.trigger("d")
    engine.run()
    assert engine.claims[-1].inputs == (("a", "return_value", -1, '"done"'),)


def test_a_report_with_a_wrong_nonce_is_refused_and_a_repeated_one_is_not(engine):
    engine.add_dag(spec_of({"a": ""}))
    engine.trigger("d")
    engine.scheduler.run_once()
    (claim,) = engine.execution.claim(engine.worker, ["LocalExecutor"], 5)
    good = engine.report_of(claim, "success")
    forged = type(good)(good.ti_id, good.epoch, "0" * 32, good.outcome)
    assert engine.execution.report(engine.worker, [forged]) == ["refused"]
    assert engine.execution.report(engine.worker, [good]) == ["accepted"]
    assert engine.execution.report(engine.worker, [good]) == ["repeated"]
    assert engine.execution.report(engine.worker, [engine.report_of(claim, "failed")]) == ["refused"]


def test_an_attempt_is_claimed_once(engine):
    engine.add_dag(spec_of({"a": ""}))
    engine.trigger("d")
    engine.scheduler.run_once()
    assert len(engine.execution.claim(engine.worker, ["LocalExecutor"], 5)) == 1
    assert engine.execution.claim(engine.worker, ["LocalExecutor"], 5) == []


def test_a_lost_worker_s_task_runs_again_without_using_a_try_and_its_late_report_is_refused(engine):
    engine.add_dag(spec_of({"a": ""}))
    engine.trigger("d")
    engine.scheduler.run_once()
    engine.register_worker("worker-2-dead")
    (lost,) = engine.execution.claim("worker-2-dead", ["LocalExecutor"], 5)
    from orch.store.rescue import rescue_process

    with engine.store.write("rescue") as tx:
        assert len(rescue_process(tx, "worker-2-dead", "test", 3)) == 1
    assert engine.execution.report("worker-2-dead", [engine.report_of(lost, "success")]) == ["refused"]
    engine.run()
    assert engine.run_state() == "success"
    assert [claim.try_number for claim in engine.claims] == [1]
    assert engine.claims[0].epoch > lost.epoch


def test_a_task_whose_workers_are_lost_too_often_fails_with_that_reason(engine):
    from orch.store.rescue import rescue_process

    engine.add_dag(spec_of({"a": ""}))
    engine.trigger("d")
    for number in range(3):
        engine.scheduler.run_once()
        engine.register_worker(f"worker-{number}-dead")
        assert engine.execution.claim(f"worker-{number}-dead", ["LocalExecutor"], 5)
        with engine.store.write("rescue") as tx:
            rescue_process(tx, f"worker-{number}-dead", "test", 3)
    engine.run()
    assert engine.states() == {"a": "failed"}
    assert engine.value("SELECT reason FROM task_instance") == "infra_losses_used_up"


def test_a_heartbeat_rescues_what_the_worker_does_not_name_and_revokes_what_is_not_its_own(engine):
    engine.add_dag(spec_of({"a": ""}))
    engine.trigger("d")
    engine.scheduler.run_once()
    (claim,) = engine.execution.claim(engine.worker, ["LocalExecutor"], 5)
    assert engine.execution.heartbeat(engine.worker, [(claim.ti_id, claim.epoch)], 30, 10).revoked == ()
    engine.clock.advance(seconds=11)
    reply = engine.execution.heartbeat(engine.worker, [(claim.ti_id, claim.epoch + 7)], 30, 10)
    assert reply.revoked == ((claim.ti_id, claim.epoch + 7),)
    assert engine.states() == {"a": "scheduled"}
    engine.run()


def test_a_worker_that_was_declared_dead_is_told_so(engine):
    from orch.store.rescue import rescue_process

    with engine.store.write("rescue") as tx:
        rescue_process(tx, engine.worker, "test", 3)
    assert engine.execution.heartbeat(engine.worker, [(1, 1)], 30, 10).known is False


def test_a_handed_back_attempt_runs_again_in_the_same_try(engine):
    engine.add_dag(spec_of({"a": ""}))
    engine.trigger("d")
    engine.scheduler.run_once()
    (claim,) = engine.execution.claim(engine.worker, ["LocalExecutor"], 5)
    engine.execution.hand_back(engine.worker, [(claim.ti_id, claim.epoch, claim.nonce)])
    engine.execution.hand_back(engine.worker, [(claim.ti_id, claim.epoch, claim.nonce)])
    assert engine.execution.report(engine.worker, [engine.report_of(claim, "success")]) == ["refused"]
    engine.run()
    assert engine.run_state() == "success"
    assert engine.claims[0].try_number == 1


def test_a_restarted_scheduler_goes_on_from_the_rows(engine):
    engine.add_dag(spec_of(DIAMOND))
    engine.trigger("d")
    engine.scheduler.run_once()
    engine.work()
    from orch.scheduler.service import Scheduler

    engine.scheduler = Scheduler(engine.settings, engine.store, engine.plugins)
    engine.run()
    assert engine.run_state() == "success"


def test_two_schedulers_take_turns_on_one_run(engine):
    from orch.scheduler.service import Scheduler

    other = Scheduler(engine.settings, engine.store, engine.plugins)
    engine.add_dag(spec_of({f"t{n}": f"t{n - 1}" if n else "" for n in range(12)}))
    engine.trigger("d")
    for turn in range(40):
        (engine.scheduler if turn % 3 else other).run_once()
        engine.work()
    assert engine.run_state() == "success"
    assert len(engine.claims) == 12


def test_the_same_run_id_or_another_body_under_one_key_is_a_conflict(engine):
    engine.add_dag(spec_of({"a": ""}))
    first = engine.trigger("d", "r1", idem_key="k", conf={"a": 1})
    assert engine.trigger("d", "r2", idem_key="k", conf={"a": 1}) == type(first)(
        first.run_pk, "d", "r1", created=False
    )
    with pytest.raises(Conflict, match="new key"):
        engine.trigger("d", "r3", idem_key="k", conf={"a": 2})
    with pytest.raises(Conflict, match="run-id"):
        engine.trigger("d", "r1")


def test_conf_reaches_the_task(engine):
    engine.add_dag(spec_of({"a": ""}))
    engine.trigger("d", conf={"city": "Seattle", "n": [1, 2]})
    engine.run()
    assert engine.claims[0].conf == {"city": "Seattle", "n": [1, 2]}


def test_a_scheduled_dag_gets_one_run_per_tick(engine):
    engine.add_dag(DagSpec("d", spec_of({"a": ""}).tasks, schedule="*/10 * * * *"))
    engine.run()
    assert engine.value("SELECT COUNT(*) FROM dag_run") == 0
    for _ in range(3):
        engine.clock.advance(minutes=10)
        engine.run()
    with engine.store.read() as tx:
        ids = [run_id for (run_id,) in tx.rows("SELECT run_id FROM dag_run ORDER BY id")]
    assert ids == [f"scheduled__2024-01-01T12:{m}:00+00:00" for m in (10, 20, 30)]


def test_without_catchup_only_the_latest_missed_tick_is_made_up_for(engine):
    engine.add_dag(DagSpec("d", spec_of({"a": ""}).tasks, schedule="0 * * * *"))
    engine.run()
    engine.clock.advance(hours=5)
    engine.run()
    assert engine.value("SELECT COUNT(*) FROM dag_run") == 1
    assert engine.value("SELECT run_id FROM dag_run") == "scheduled__2024-01-01T17:00:00+00:00"


def test_with_catchup_every_tick_since_the_start_date_has_its_run(engine):
    start = datetime(2023, 12, 25, tzinfo=UTC)
    engine.add_dag(DagSpec("d", spec_of({"a": ""}).tasks, schedule="@daily", start_date=start, catchup=True))
    engine.run()
    with engine.store.read() as tx:
        ids = [run_id for (run_id,) in tx.rows("SELECT run_id FROM dag_run ORDER BY id")]
    assert ids == [f"scheduled__{(start + timedelta(days=n)).isoformat()}" for n in range(8)]


def test_a_dag_scheduled_once_gets_one_run(engine):
    engine.add_dag(DagSpec("d", spec_of({"a": ""}).tasks, schedule="@once"))
    engine.run()
    engine.clock.advance(days=3)
    engine.run()
    assert engine.value("SELECT COUNT(*) FROM dag_run") == 1


def test_a_thousand_wide_fan_runs_in_batches(engine):
    edges = {"a": "", **{f"t{n}": "a" for n in range(1000)}, "z": " ".join(f"t{n}" for n in range(1000))}
    engine.add_dag(DagSpec("d", spec_of(edges).tasks, max_active_tasks=100))
    engine.trigger("d")
    engine.run()
    assert engine.run_state() == "success"
    assert len(engine.claims) == 1002


@pytest.mark.parametrize("seed", range(25))
def test_random_dags_with_random_outcomes_always_end(engine, seed):
    print(f"seed {seed}")
    engine.add_dag(random_spec(seed, 30))
    engine.trigger(f"random_{seed}")
    kinds = ["success", "success", "failed", "skipped", "fatal"]
    engine.run(lambda claim: kinds[(claim.ti_id * 7 + seed) % 5])
    assert set(engine.states().values()) <= {str(state) for state in TERMINAL}


def test_every_rule_reaches_the_random_dags():
    used = {task.trigger_rule for seed in range(25) for task in random_spec(seed, 30).tasks}
    assert used == set(TriggerRule)


def test_conf_that_is_not_json_is_refused(engine):
    engine.add_dag(spec_of({"a": ""}))
    with pytest.raises(Exception, match="not plain JSON"):
        engine.trigger("d", conf={"x": float("nan")})
    assert engine.value("SELECT COUNT(*) FROM dag_run") == 0


def test_no_scheduled_run_begins_while_the_file_cannot_be_imported(engine):
    engine.add_dag(DagSpec("d", spec_of({"a": ""}).tasks, schedule="0 * * * *"))
    engine.run()
    with engine.store.write("audit") as tx:
        tx.execute("INSERT INTO import_error (path, message, created_at) VALUES ('d.py', 'broken', 0)")
    engine.clock.advance(hours=2)
    engine.run()
    assert engine.value("SELECT COUNT(*) FROM dag_run") == 0
    with engine.store.write("audit") as tx:
        tx.execute("DELETE FROM import_error")
    engine.run()
    assert engine.value("SELECT run_id FROM dag_run") == "scheduled__2024-01-01T14:00:00+00:00"
