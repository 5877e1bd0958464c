"""The runner: who waits for what, and what the watch does while nothing runs."""

from tests.contract.runners import outcome_of
from tests.contract.scenarios import dag_of

from orch.inprocess.run_clock import RunClock
from orch.inprocess.runner import Options, Runner


def test_the_watch_leaps_as_soon_as_nothing_runs():
    def make_perform(runner):
        return lambda claim, _ready: outcome_of(
            runner.clock(), "failed" if claim.try_number < 4 else "success"
        )

    spec = dag_of({"a": "", "b": ""}, retries={"a": 3, "b": 3})
    # A watch that is not called would look again after a third of the lease, and the test would time out.
    options = Options(parallelism=4, wait_for_retries=False, lease_seconds=3000.0)
    runner = Runner(spec, options, RunClock(), make_perform=make_perform)
    runner.run()
    assert [row.try_number for row in runner.store.snapshot().rows] == [4, 4]
