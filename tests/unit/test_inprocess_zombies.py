"""Zombies: a thread that is named no more loses its attempt while it still works, and is not heard afterwards."""

import threading
from threading import Event

from tests.contract.runners import outcome_of
from tests.contract.scenarios import CHAIN, dag_of

from orch.clock import monotonic
from orch.inprocess.execution import LOST
from orch.inprocess.invariants import find_broken
from orch.inprocess.pool import Pool
from orch.inprocess.run_clock import RunClock
from orch.inprocess.runner import Options, Runner

FIRST_OF_B = (2, 1)


class MutePool(Pool):
    """Never names the first attempt of task b."""

    def named(self):
        return [key for key in super().named() if key != FIRST_OF_B]


class MuteRunner(Runner):
    def make_pool(self):
        self.pool = MutePool(
            self.options.parallelism, self.execution, self.perform, self.decider.step, self.store.fail
        )
        return self.pool


def test_a_mute_thread_is_lost_replaced_and_refused():
    again = Event()
    zombies, answers = [], {}

    def make_perform(runner):
        report = runner.execution.report

        def heard(key, nonce, outcome):
            answers[key] = report(key, nonce, outcome)
            return answers[key]

        def perform(claim, _ready):
            if claim.key == FIRST_OF_B:
                zombies.append(threading.current_thread())
                again.wait(30)  # it works on until its successor has begun
            elif claim.task_id == "b":
                again.set()
            elif claim.task_id == "c":
                zombies[0].join(30)  # whoever is refused leaves
            return outcome_of(runner.clock(), "success")

        runner.execution.report = heard
        return perform

    options = Options(parallelism=2, lease_seconds=0.05)
    runner = MuteRunner(dag_of(CHAIN), options, RunClock(), make_perform=make_perform)
    runner.run()
    end = runner.store.snapshot()
    assert find_broken(end) == []
    assert end.run_state == "success"
    assert answers[FIRST_OF_B] == "refused"
    assert [(each.epoch, each.outcome) for each in end.attempts if each.ti_id == 2] == [
        (1, LOST),
        (3, "success"),
    ]
    assert [row.infra_losses for row in end.rows] == [0, 1, 0]
    assert len(runner.pool._workers) == 3  # two, and one in the place of the zombie
    assert runner.stuck == []


def test_a_thread_that_lives_is_not_lost_however_long_it_works():
    began, lease = monotonic(), 0.05
    old_enough = Event()

    def make_perform(runner):
        renew = runner.execution.renew

        def counted(named):
            if monotonic() > began + 4 * lease:
                old_enough.set()
            return renew(named)

        def perform(_claim, _ready):
            assert old_enough.wait(30)
            return outcome_of(runner.clock(), "success")

        runner.execution.renew = counted
        return perform

    options = Options(parallelism=2, lease_seconds=lease)
    runner = Runner(dag_of({"a": ""}), options, RunClock(), make_perform=make_perform)
    runner.run()
    assert [(row.state, row.infra_losses) for row in runner.store.snapshot().rows] == [("success", 0)]
