"""depends_on_past and wait_for_downstream: runs that wait for the run before, and who wakes them."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.harness import Engine

from orch.clock import from_micros
from orch.domain.dagspec import DagSpec, RetrySpec, TaskSpec
from orch.failpoints import FailpointError, Failpoints
from orch.scheduler.service import Scheduler
from orch.store.queries import limits, pasts, promotion
from orch.store.queries.pauses import set_paused
from orch.store.verify import verify

DAY = datetime(2024, 1, 1, tzinfo=UTC)


def dated(engine, day, dag_id="d", **values):
    """Make the run of a day under its own number."""
    return engine.trigger(dag_id, f"day{day}", logical_date=DAY + timedelta(days=day), **values)


def add(engine, *tasks, dag_id="d", **values):
    engine.add_dag(DagSpec(dag_id, tasks, **values))


def add_version(engine, spec):
    """Let new runs of a DAG have another structure."""
    with engine.store.write("register_dags") as tx:
        values = (1, 2, spec.structure_hash, spec.to_json(), tx.now)
        tx.many(
            "INSERT INTO dag_version (dag_pk, number, structure_hash, structure, created_at) VALUES (?, ?, ?, ?, ?)",
            [values],
        )
        tx.many("UPDATE dag SET current_version_id = (SELECT MAX(id) FROM dag_version) WHERE id = ?", [(1,)])


def new_scheduler(engine):
    """What a restart leaves: nothing in memory."""
    return Scheduler(engine.settings, engine.store, engine.plugins)


def loading(*upstream, deep=False, name="load", **values):
    return TaskSpec(name, "Test", upstream, depends_on_past=True, wait_for_downstream=deep, **values)


def step(engine, behaviour=lambda _: "success", limit=100):
    """Schedule until nothing moves, then let the worker do at most so much."""
    while engine.scheduler.run_once():
        pass
    return engine.work(behaviour, limit=limit)


def waiters(engine):
    with engine.store.read() as tx:
        return tx.rows("SELECT kind, key, run_pk FROM waiter ORDER BY id")


def order_of_starts(engine, task_id="load"):
    return [claim.run_id for claim in engine.claims if claim.task_id == task_id]


def test_the_first_run_and_tasks_new_to_the_dag_have_no_past(engine):
    add(engine, loading())
    dated(engine, 1)
    engine.run()
    assert engine.run_state("day1") == "success"
    add_version(engine, DagSpec("d", (loading(), loading(name="new"))))
    dated(engine, 2)
    engine.run()
    assert engine.states("day2") == {"load": "success", "new": "success"}


def test_a_run_waits_for_the_same_task_of_the_run_before_and_is_woken_by_it(engine):
    add(engine, TaskSpec("get", "Test"), loading("get"))
    dated(engine, 1)
    dated(engine, 2)
    step(engine)
    step(engine, limit=0)
    step(engine, lambda claim: "success", limit=0)
    assert engine.states("day1")["load"] == "queued"
    assert engine.states("day2") == {"get": "success", "load": "none"}
    assert waiters(engine) == [("past", "1", 2)]
    engine.work()
    engine.run()
    assert engine.run_state("day2") == "success"
    assert order_of_starts(engine) == ["day1", "day2"]
    assert waiters(engine) == []


@pytest.mark.parametrize("end", ["failed", "fatal"])
def test_a_failed_task_holds_the_next_run_for_good_and_costs_a_look_each_ten_seconds(engine, end):
    add(engine, loading())
    dated(engine, 1)
    engine.run(lambda _: end)
    dated(engine, 2)
    engine.run()
    assert (engine.run_state("day1"), engine.run_state("day2")) == ("failed", "running")
    assert engine.scheduler.run_once() == 0
    engine.clock.advance(seconds=11)
    engine.run()
    assert engine.states("day2") == {"load": "none"}


def test_another_run_of_the_failed_date_is_not_held_by_it_and_lets_the_next_run_go(engine):
    add(engine, loading())
    dated(engine, 1)
    engine.run(lambda _: "failed")
    dated(engine, 2)
    engine.run()
    engine.trigger("d", "again", logical_date=DAY + timedelta(days=1))
    engine.run()
    assert (engine.run_state("again"), engine.states("day2")) == ("success", {"load": "none"})
    engine.clock.advance(seconds=11)
    engine.run()
    assert engine.run_state("day2") == "success"


def test_two_open_runs_of_one_date_go_one_after_the_other(engine):
    add(engine, loading())
    for name in ("one", "two"):
        engine.trigger("d", name, logical_date=DAY)
    step(engine, limit=0)
    assert (engine.states("one"), engine.states("two")) == ({"load": "queued"}, {"load": "none"})
    engine.run(lambda claim: "failed" if claim.run_id == "one" else "success")
    assert engine.run_state("two") == "success"


def test_a_failed_run_by_hand_is_repeated_under_its_own_moment(engine):
    add(engine, loading())
    engine.trigger("d", "failed")
    with engine.store.read() as tx:
        ((moment,),) = tx.rows("SELECT run_after FROM dag_run")
    engine.run(lambda _: "failed")
    engine.clock.advance(seconds=1)
    engine.trigger("d", "next")
    engine.run()
    engine.trigger("d", "again", logical_date=from_micros(moment))
    engine.run()
    engine.clock.advance(seconds=11)
    engine.run()
    assert (engine.run_state("again"), engine.run_state("next")) == ("success", "success")


def test_a_skipped_task_lets_the_next_run_go(engine):
    add(engine, loading())
    dated(engine, 1)
    engine.run(lambda _: "skipped")
    dated(engine, 2)
    engine.run()
    assert engine.run_state("day2") == "success"


def test_a_task_that_its_rule_ends_does_not_wait_for_the_past(engine):
    add(engine, TaskSpec("get", "Test"), loading("get"))
    dated(engine, 1)
    engine.run(lambda claim: "failed" if claim.task_id == "load" else "success")
    dated(engine, 2)
    engine.run(lambda _: "failed")
    assert engine.states("day2") == {"get": "failed", "load": "upstream_failed"}
    assert engine.run_state("day2") == "failed"


def test_downstream_tasks_of_the_run_before_are_waited_for_by_its_own_version(engine):
    add(engine, loading(deep=True), TaskSpec("report", "Test", ("load",)))
    dated(engine, 1)
    step(engine)
    step(engine, limit=0)
    add_version(engine, DagSpec("d", (loading(deep=True), TaskSpec("other", "Test", ("load",)))))
    dated(engine, 2)
    step(engine, limit=0)
    assert engine.states("day1") == {"load": "success", "report": "queued"}
    assert engine.states("day2")["load"] == "none"
    engine.run()
    assert engine.states("day2") == {"load": "success", "other": "success"}
    starts = [(claim.run_id, claim.task_id) for claim in engine.claims]
    assert starts.index(("day1", "report")) < starts.index(("day2", "load"))


def test_the_end_of_a_downstream_task_wakes_the_next_run_before_its_own_run_has_ended(engine):
    tasks = (loading(deep=True), TaskSpec("report", "Test", ("load",)), TaskSpec("tail", "Test", ("report",)))
    add(engine, *tasks)
    dated(engine, 1)
    dated(engine, 2)
    step(engine)
    step(engine)
    step(engine, limit=0)
    assert (engine.states("day1")["tail"], engine.states("day2")["load"]) == ("queued", "queued")


def test_a_task_that_is_skipped_after_the_look_at_it_wakes_the_next_run_in_the_same_transaction(engine):
    add(engine, TaskSpec("get", "Test"), loading("get"))
    dated(engine, 2)
    dated(engine, 1)  # made later, so that it is decided after the run of day 2
    step(engine, lambda claim: "skipped" if claim.run_id == "day1" else "success")
    step(engine, limit=0)
    assert (engine.states("day1")["load"], engine.states("day2")["load"]) == ("skipped", "queued")


def test_a_run_that_appears_between_is_the_run_before_from_then_on(engine):
    add(engine, loading())
    dated(engine, 1)
    step(engine, limit=0)
    dated(engine, 3)
    step(engine, limit=0)
    dated(engine, 2)
    engine.run()
    engine.clock.advance(seconds=11)
    engine.run()
    assert order_of_starts(engine) == ["day1", "day2", "day3"]


def test_runs_by_hand_without_a_date_stand_in_the_order_of_their_making(engine):
    add(engine, loading())
    for name in ("first", "second", "third"):
        engine.trigger("d", name)
        engine.clock.advance(seconds=1)
    engine.run()
    assert order_of_starts(engine) == ["first", "second", "third"]


def test_a_run_dated_back_does_not_lock_those_that_have_its_place(engine):
    """It could only begin after the run that would wait for it."""
    add(engine, loading(), max_active_runs=1)
    dated(engine, 5)
    step(engine, limit=0)
    dated(engine, 9)
    engine.run(lambda _: "failed")
    dated(engine, 1)
    engine.clock.advance(seconds=11)
    engine.run()
    assert engine.run_state("day9") == "running"
    assert engine.run_state("day1") == "queued"
    assert engine.value("SELECT reason FROM dag_run WHERE run_id = 'day1'") == "max_active_runs"


def test_a_run_goes_past_one_that_waits_for_its_place(engine):
    add(engine, TaskSpec("get", "Test"), loading("get"), max_active_runs=1)
    dated(engine, 5)
    step(engine, limit=0)
    dated(engine, 1)
    engine.run()
    assert order_of_starts(engine) == ["day5", "day1"]


def held_days(engine, most, held):
    """Let day 1 fail, and so many later days use up all places; they are held."""
    add(engine, loading(), max_active_runs=most)
    dated(engine, 1)
    engine.run(lambda _: "failed")
    for day in range(2, 2 + held):
        dated(engine, day)
    engine.run()
    assert engine.value("SELECT COUNT(*) FROM dag_run WHERE state = 'running'") == most


def repeat(engine, name="again", day=1):
    engine.trigger("d", name, logical_date=DAY + timedelta(days=day))


def settle(engine, behaviour=lambda _: "success"):
    """Run on until nobody's look of every ten seconds changes anything."""
    for _ in range(6):
        engine.run(behaviour)
        engine.clock.advance(seconds=11)


def open_runs(engine):
    return engine.value("SELECT COUNT(*) FROM dag_run WHERE state IN ('queued', 'running')")


def reason_of_start(engine, run_id):
    return engine.value(
        "SELECT h.reason FROM run_history h JOIN dag_run r ON r.id = h.run_pk"
        " WHERE r.run_id = ? AND h.new = 'running'",
        run_id,
    )


@pytest.mark.parametrize(("most", "held"), [(4, 4), (4, 7), (1, 1), (1, 3)])
def test_a_repeat_begins_when_the_runs_that_wait_for_it_hold_all_places(engine, most, held):
    held_days(engine, most, held)
    repeat(engine)
    settle(engine)
    assert open_runs(engine) == 0
    assert reason_of_start(engine, "again") == "repeats_the_past"
    assert order_of_starts(engine) == ["day1", "again", *(f"day{day}" for day in range(2, 2 + held))]
    engine.check()


def test_a_repeat_by_hand_of_a_run_without_a_date_begins_too(engine):
    add(engine, loading(), max_active_runs=1)
    engine.trigger("d", "failed")
    moment = from_micros(engine.value("SELECT run_after FROM dag_run"))
    engine.run(lambda _: "failed")
    engine.clock.advance(seconds=1)
    engine.trigger("d", "next")
    engine.run()
    engine.trigger("d", "again", logical_date=moment)
    settle(engine)
    assert (engine.run_state("again"), engine.run_state("next")) == ("success", "success")
    engine.check()


def test_a_repeat_of_another_date_and_a_new_run_still_wait_for_a_place(engine):
    add(engine, loading(), max_active_runs=1)
    dated(engine, 0)
    dated(engine, 1)
    engine.run(lambda claim: "failed" if claim.run_id == "day1" else "success")
    dated(engine, 3)
    engine.run()
    repeat(engine, "other", day=0)
    dated(engine, 2)
    settle(engine)
    assert [engine.run_state(name) for name in ("day3", "other", "day2")] == ["running", "queued", "queued"]
    assert engine.value("SELECT GROUP_CONCAT(reason) FROM dag_run WHERE state = 'queued'") == (
        "max_active_runs,max_active_runs"
    )
    engine.check()


def test_a_repeat_takes_no_place_from_others_while_it_runs(engine):
    held_days(engine, 2, 2)
    repeat(engine)
    step(engine, limit=0)
    assert engine.value("SELECT reason FROM dag_run WHERE run_id = 'again'") == "repeats_the_past"
    with engine.store.write("audit") as tx:
        limits.set_size(tx, "dag_runs", "d", 3)
    dated(engine, 9)
    step(engine, limit=0)
    assert engine.value("SELECT COUNT(*) FROM dag_run WHERE state = 'running'") == 4
    dated(engine, 10)
    step(engine, limit=0)
    assert (engine.run_state("day9"), engine.run_state("day10")) == ("running", "queued")
    engine.check()
    settle(engine)
    assert open_runs(engine) == 0
    engine.check()


def test_two_repeats_of_one_date_begin_one_after_the_other(engine):
    held_days(engine, 4, 4)
    repeat(engine, "one")
    repeat(engine, "two")
    step(engine, limit=0)
    assert (engine.run_state("one"), engine.run_state("two")) == ("running", "queued")
    settle(engine, lambda claim: "failed" if claim.run_id == "one" else "success")
    assert (engine.run_state("one"), open_runs(engine)) == ("failed", 0)
    assert reason_of_start(engine, "two") == "repeats_the_past"
    engine.check()


def test_a_second_repeat_that_nobody_needs_waits_for_a_place(engine):
    held_days(engine, 1, 1)
    repeat(engine, "one")
    repeat(engine, "two")
    settle(engine)
    assert open_runs(engine) == 0
    assert reason_of_start(engine, "two") is None
    engine.check()


def test_a_repeat_of_a_paused_dag_waits_for_the_pause_to_end(engine):
    held_days(engine, 1, 1)
    with engine.store.write("pause") as tx:
        set_paused(tx, 1, "d", is_paused=True)
    repeat(engine)
    settle(engine)
    assert engine.value("SELECT reason FROM dag_run WHERE run_id = 'again'") == "dag_paused"
    with engine.store.write("pause") as tx:
        set_paused(tx, 1, "d", is_paused=False)
    settle(engine)
    assert open_runs(engine) == 0
    engine.check()


def test_verify_still_sees_a_run_beyond_the_limit_beside_a_repeat(engine):
    held_days(engine, 1, 1)
    repeat(engine)
    step(engine, limit=0)
    assert verify(engine.store, only=["I10"]) == []
    with engine.store.write("audit") as tx:
        tx.many("UPDATE run_history SET reason = NULL WHERE reason = ?", [("repeats_the_past",)])
    assert [finding.message for finding in verify(engine.store, only=["I10"])] == [
        "DAG d: 2 active runs of 1"
    ]
    with engine.store.write("audit") as tx:
        tx.many("UPDATE run_history SET reason = ? WHERE run_pk = 3", [("repeats_the_past",)])


def test_repeats_are_found_from_the_waiters(engine):
    held_days(engine, 1, 1)
    with engine.store.read() as tx:
        plan = [row[3] for row in tx.rows(f"EXPLAIN QUERY PLAN {promotion._REPEATS}", (tx.now, None, 1))]
    first = next(line for line in plan if line.startswith(("SEARCH", "SCAN")) and " r " not in line)
    assert first.startswith("SEARCH w ")
    assert any(line.startswith("SEARCH q USING INDEX ix_dag_run_order") for line in plan)
    assert not [line for line in plan if line.startswith("SCAN")]


def test_a_run_that_has_room_and_has_not_begun_yet_is_waited_for(engine):
    add(engine, loading())
    dated(engine, 1)
    dated(engine, 2)
    with engine.store.read() as tx:
        found = pasts.run_before(tx, 2)
    assert found is not None
    assert found.run_id == "day1"


def test_a_run_cancelled_before_it_began_holds_nobody(engine):
    add(engine, loading())
    dated(engine, 1)
    dated(engine, 2)
    with engine.store.write("audit") as tx:
        tx.many("UPDATE dag_run SET state = 'cancelled', ended_at = 1 WHERE run_id = ?", [("day1",)])
        found = pasts.run_before(tx, 2)
        tx.many("UPDATE dag_run SET state = 'queued', ended_at = NULL WHERE run_id = ?", [("day1",)])
    assert found is None


def test_retries_do_not_ask_the_past_again_and_the_next_run_waits_for_the_last_try(engine):
    add(engine, loading(retry=RetrySpec(1, delay_seconds=60)))
    dated(engine, 1)
    dated(engine, 2)
    engine.run(lambda _: "failed")
    assert engine.states("day2") == {"load": "none"}
    engine.clock.advance(seconds=61)
    engine.run()
    assert (engine.run_state("day1"), engine.run_state("day2")) == ("success", "success")


def test_a_restarted_scheduler_knows_who_waits(engine):
    add(engine, TaskSpec("get", "Test"), loading("get"))
    dated(engine, 1)
    dated(engine, 2)
    step(engine)
    step(engine, limit=0)
    engine.scheduler = new_scheduler(engine)
    engine.work()
    engine.run()
    assert engine.run_state("day2") == "success"
    assert waiters(engine) == []


def test_a_waiter_whose_transaction_was_rolled_back_is_written_with_the_next_one(tmp_path):
    failpoints = Failpoints({"evaluate.before_commit": "error"}, str(tmp_path / "once"))
    engine = Engine.create(tmp_path / "home", failpoints)
    add(engine, loading())
    dated(engine, 1)
    dated(engine, 2)
    with pytest.raises(FailpointError):
        engine.scheduler.run_once()
    assert waiters(engine) == []
    step(engine, limit=0)
    assert waiters(engine) == [("past", "1", 2)]
    engine.run()
    assert engine.run_state("day2") == "success"
    engine.check()
    engine.store.close()


def test_two_schedulers_take_turns_without_losing_a_waiter(engine):
    add(engine, loading())
    for day in range(6):
        dated(engine, day)
    other = new_scheduler(engine)
    while engine.scheduler.run_once() + other.run_once() + engine.work():
        engine.scheduler, other = other, engine.scheduler
    assert order_of_starts(engine) == [f"day{day}" for day in range(6)]


def test_a_scheduler_that_has_seen_nobody_wait_wakes_those_whom_another_one_let_wait(engine):
    add(engine, loading())
    dated(engine, 1)
    step(engine, limit=0)
    dated(engine, 2)
    other = new_scheduler(engine)
    while other.run_once():
        pass
    assert waiters(engine) == [("past", "1", 2)]
    engine.work()
    step(engine, limit=0)
    assert engine.states("day2") == {"load": "queued"}


def test_runs_of_other_dags_are_not_looked_at(engine):
    add(engine, loading())
    add(engine, TaskSpec("load", "Test"), dag_id="other")
    engine.trigger("other", "day0")
    step(engine, limit=0)
    dated(engine, 1)
    engine.run(lambda claim: "failed" if claim.dag_id == "other" else "success")
    assert engine.run_state("day1") == "success"


@pytest.mark.parametrize("seed", range(4))
def test_twenty_runs_at_once_keep_strict_order_per_task_whatever_the_worker_does(engine, seed):
    print("seed", seed)
    source = random.Random(seed)
    retry = RetrySpec(30, delay_seconds=1)
    tasks = (
        loading(name="a", retry=retry),
        loading("a", name="b", retry=retry, deep=True),
        TaskSpec("c", "Test", ("a", "b"), retry=retry),
    )
    add(engine, *tasks, max_active_runs=7, max_active_tasks=5)
    for day in range(20):
        dated(engine, day)
    for _ in range(2000):
        if source.random() < 0.1:
            engine.scheduler = new_scheduler(engine)
        moved = engine.scheduler.run_once()
        claimed = engine.execution.claim(engine.worker, ["LocalExecutor"], source.randint(0, 3))
        engine.claims += claimed
        source.shuffle(claimed)
        ends = [source.choice(("success", "success", "failed")) for _ in claimed]
        engine.execution.report(
            engine.worker, [engine.report_of(*pair) for pair in zip(claimed, ends, strict=True)]
        )
        engine.clock.advance(seconds=0.4)
        if (
            not moved
            and not claimed
            and not engine.value("SELECT COUNT(*) FROM dag_run WHERE state <> 'success'")
        ):
            break
    days = [f"day{day}" for day in range(20)]
    assert {engine.run_state(day) for day in days} == {"success"}
    for task_id in "ab":
        assert list(dict.fromkeys(order_of_starts(engine, task_id))) == days


def test_the_run_before_is_found_in_an_index(engine):
    add(engine, loading())
    dated(engine, 1)
    with engine.store.read() as tx:
        plan = " ".join(row[3] for row in tx.rows(f"EXPLAIN QUERY PLAN {pasts._RUN_BEFORE}", (1,)))
    assert "ix_dag_run_order" in plan
    assert "TEMP B-TREE" not in plan


def test_verify_sees_a_task_that_went_too_early_and_lets_later_runs_be(engine):
    add(engine, loading())
    for day in (2, 4):
        dated(engine, day)
    engine.run()
    engine.clock.advance(seconds=1)
    dated(engine, 3)  # made later: it does not count against the run of day 4
    assert verify(engine.store, only=["I24"]) == []
    early = Engine.create(engine.settings.core.home.parent / "early")
    add(early, loading())
    for day in (1, 2):
        dated(early, day)
    early.scheduler.run_once()
    with early.store.write("audit") as tx:
        tx.many(
            "UPDATE dag_version SET structure = replace(structure, ?, '')", [('"depends_on_past":true,',)]
        )
    early.scheduler = new_scheduler(early)
    early.clock.advance(seconds=11)
    early.scheduler.run_once()
    with early.store.write("audit") as tx:
        tx.many(
            "UPDATE dag_version SET structure = replace(structure, ?, ?)",
            [('"operator"', '"depends_on_past":true,"operator"')],
        )
    (found,) = verify(early.store, only=["I24"])
    assert found.message == "run day2: load was scheduled while load of the run before, day1, was queued"
    early.store.close()
