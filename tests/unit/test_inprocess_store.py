"""The state store of the in-process runner: compare-and-set, claims, fencing, waiting, lock order."""

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.contract.runners import Timer, outcome_of
from tests.contract.scenarios import CHAIN, dag_of
from tests.integration.harness import FakeClock

from orch.domain.states import TaskState
from orch.inprocess import decider, protocol
from orch.inprocess.decider import Decider
from orch.inprocess.execution import Execution
from orch.inprocess.invariants import find_broken
from orch.inprocess.locks import LockOrder, LockOrderBroken, Rank
from orch.inprocess.rows import Move
from orch.inprocess.state_store import TaskStateStore
from orch.inprocess.tables import IllegalMove

NOW = datetime(2024, 1, 1, tzinfo=UTC)


class Bench:
    """A store with everything around it and no thread."""

    def __init__(self, edges=CHAIN, **dag_values):
        order = LockOrder()
        self.clock, self.timer = FakeClock(), Timer()
        self.store = TaskStateStore(dag_of(edges, **dag_values), self.clock, order)
        self.execution = Execution(self.store, lease_seconds=10.0, infra_loss_limit=2, timer=self.timer)
        self.decider = Decider(self.store, {}, self.clock, order)
        self.decider.start()
        self.decider.step()

    def report(self, claim, kind="success"):
        return self.execution.report(claim.key, claim.nonce, outcome_of(self.clock(), kind))

    def lose(self):
        self.timer.now += 11.0
        lost = self.execution.rescue()
        self.decider.step()
        return lost

    def check(self):
        assert find_broken(self.store.snapshot()) == []


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.check()


def test_a_move_from_a_row_that_is_no_longer_current_is_lost(bench):
    row = bench.store.get(2)
    skipped = replace(row, state=TaskState.SKIPPED, reason="skipped_by_trigger_rule")
    assert [new.version for new in bench.store.move([Move(row, skipped)], protocol.SCHEDULER)] == [1]
    assert bench.store.move([Move(row, skipped)], protocol.SCHEDULER) == []
    assert len([each for each in bench.store.snapshot().history if each.ti_id == 2]) == 1


def test_a_move_that_the_table_does_not_have_is_an_error(bench):
    row = bench.store.get(3)
    with pytest.raises(IllegalMove, match="none -> running by scheduler"):
        bench.store.move([Move(row, replace(row, state=TaskState.RUNNING))], protocol.SCHEDULER)


def test_each_task_instance_is_claimed_once(bench):
    assert bench.execution.claim("one").task_id == "a"
    assert bench.execution.claim("two") is None


def test_a_report_counts_once_and_only_with_its_nonce(bench):
    claim = bench.execution.claim("one")
    assert bench.execution.report(claim.key, "another nonce", outcome_of(NOW, "success")) == "refused"
    assert bench.report(claim) == "accepted"
    assert bench.report(claim) == "repeated"
    assert bench.report(claim, "failed") == "refused"
    assert bench.store.xcom("a", "return_value") == '"done"'


def test_a_thread_that_is_not_named_is_lost_and_its_late_result_refused(bench):
    first = bench.execution.claim("one")
    assert bench.lose() == [first.key]
    second = bench.execution.claim("two")
    assert (second.epoch, second.try_number) == (3, 1)  # a loss takes an epoch, the grant another, and no try
    assert bench.report(first) == "refused"
    assert bench.report(second) == "accepted"


def test_a_thread_that_is_named_keeps_its_lease(bench):
    claim = bench.execution.claim("one")
    bench.timer.now += 9.0
    assert bench.execution.renew([claim.key]) == []
    bench.timer.now += 9.0
    assert bench.execution.rescue() == []


def test_a_beat_learns_which_attempts_are_over(bench):
    claim = bench.execution.claim("one")
    bench.lose()
    assert bench.execution.renew([claim.key]) == [claim.key]


def test_after_too_many_losses_the_task_fails(bench):
    for _ in range(2):
        bench.execution.claim("one")
        bench.lose()
    row = bench.store.get(1)
    assert (row.state, row.reason, row.infra_losses) == (TaskState.FAILED, "infra_losses_used_up", 2)


def test_what_a_try_that_is_repeated_handed_over_is_forgotten():
    bench = Bench(retries={"a": 1})
    claim = bench.execution.claim("one")
    assert claim is not None
    failed = replace(outcome_of(bench.clock(), "failed"), xcoms=(("half", "1"),))
    assert bench.execution.report(claim.key, claim.nonce, failed) == "accepted"
    assert bench.store.xcom("a", "half") is None
    bench.check()


def test_a_decision_that_rests_on_what_is_no_longer_true_is_made_again(monkeypatch):
    bench = Bench({"a": "", "b": ""}, fail_fast=True)
    a, b = bench.execution.claim("one"), bench.execution.claim("two")
    decide = decider._decided
    decisions = []

    def decide_slowly(view, now):
        decisions.append(decide(view, now))
        if len(decisions) == 1:
            assert bench.report(b) == "accepted"  # while it is decided that b has to end
        return decisions[-1]

    monkeypatch.setattr(decider, "_decided", decide_slowly)
    bench.report(a, "failed")
    bench.decider.step()
    assert [row.state for row in bench.store.snapshot().rows] == ["failed", "success"]
    assert len(decisions) == 2
    bench.check()


def test_nobody_waits_for_work_once_the_store_is_closed(bench):
    bench.execution.claim("one")
    got = []
    thread = threading.Thread(target=lambda: got.append(bench.execution.wait_and_claim("two")))
    thread.start()
    bench.store.close()
    thread.join(10)
    assert got == [None]


def test_a_waiting_thread_gets_what_is_queued_later(bench):
    claim = bench.execution.claim("one")
    got = []
    thread = threading.Thread(target=lambda: got.append(bench.execution.wait_and_claim("two").task_id))
    thread.start()
    bench.report(claim)
    bench.decider.step()
    thread.join(10)
    assert got == ["b"]


def test_a_snapshot_does_not_change_with_the_store(bench):
    before = bench.store.snapshot()
    bench.execution.claim("one")
    assert [row.state for row in before.rows] == ["queued", "none", "none"]
    assert len(bench.store.snapshot().history) == len(before.history) + 1


def test_locks_are_taken_in_one_order():
    make = LockOrder()
    run, states = make(Rank.RUN), make(Rank.STATES)
    with run, states:
        pass
    with states, pytest.raises(LockOrderBroken, match="takes RUN while it holds STATES"):
        run.acquire()
    with states, pytest.raises(LockOrderBroken, match="takes STATES while it holds STATES"):
        states.acquire()


def test_the_store_cannot_be_used_by_who_holds_its_lock(bench):
    with bench.store.locked(), pytest.raises(LockOrderBroken):
        bench.store.get(1)


@pytest.mark.parametrize(
    ("break_it", "number"),
    [
        (lambda end: replace(end, history=end.history[1:]), "I1"),
        (lambda end: replace(end, rows=(replace(end.rows[0], state=TaskState.FAILED), *end.rows[1:])), "I1"),
        (lambda end: _with_change(end, 2, new=TaskState.DEFERRED), "I2"),
        (lambda end: replace(end, history=(*end.history, end.history[2])), "I3"),
        (lambda end: replace(end, history=(*end.history, end.history[3])), "I4"),
        (lambda end: _with_change(end, 3, actor_id="somebody"), "I5"),
        (lambda end: _with_change(end, 3, epoch=0), "I6"),
        (lambda end: replace(end, attempts=(*end.attempts, end.attempts[0])), "I6"),
        (lambda end: _with_change(end, 3, old=TaskState.SKIPPED), "I7"),
        (lambda end: replace(end, history=(*end.history[4:], *end.history[:4])), "I8"),
        (lambda end: replace(end, attempts=(replace(end.attempts[0], outcome=None),)), "I12"),
        (lambda end: replace(end, rows=(replace(end.rows[0], due_at=NOW), *end.rows[1:])), "I13"),
        (lambda end: replace(end, run_state="failed"), "I14"),
        (lambda end: replace(end, rows=(replace(end.rows[0], try_number=2), *end.rows[1:])), "I17"),
        (lambda end: replace(end, xcoms={("x", "return_value"): "1"}), "I19"),
    ],
)
def test_each_broken_invariant_is_found(break_it, number):
    bench = Bench()
    while (claim := bench.execution.claim("one")) is not None:
        bench.report(claim)
        bench.decider.step()
    end = bench.store.snapshot()
    assert find_broken(end) == []
    assert number in {sentence.split()[0] for sentence in find_broken(break_it(end))}


def _with_change(end, position, **values):
    changed = replace(end.history[position], **values)
    return replace(end, history=(*end.history[:position], changed, *end.history[position + 1 :]))


def test_an_early_retry_and_an_exceeded_limit_are_found():
    bench = Bench({"a": "", "b": ""}, retries={"a": 1})
    claim = bench.execution.claim("one")
    bench.report(claim, "failed")
    bench.clock.advance(minutes=2)
    bench.decider.step()
    end = bench.store.snapshot()
    assert find_broken(end) == []
    again = next(n for n, each in enumerate(end.history) if each.old is TaskState.UP_FOR_RETRY)
    assert find_broken(_with_change(end, again, at=NOW))[0].startswith("I18")
    assert find_broken(end, {"default": 1})[0].startswith("I9")
