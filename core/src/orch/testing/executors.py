"""The executor contract as tests: a provider subclasses `ExecutorContract` and supplies the fixture `executor`."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from orch.hookspecs import (
    AttemptKey,
    BaseExecutor,
    Dispatch,
    ExecutorContext,
    ExecutorSpec,
    ExecutorStateError,
    Inventory,
)

UNKNOWN = AttemptKey(ti_id=999_999, epoch=1)


@dataclass
class Hints:
    """Counts the wake-ups that an executor asks core for."""

    count: int = 0

    def __call__(self) -> None:
        """Count one wake-up."""
        self.count += 1


def dispatch(ti_id: int = 1, epoch: int = 1, queue: str = "default") -> Dispatch:
    """Return an attempt to send, with a command as small as commands get."""
    command = json.dumps({"format": 1, "ti_id": ti_id, "epoch": epoch})
    return Dispatch(ti_id, epoch, queue, command)


class ExecutorContract:
    """What every executor promises. Subclass it as `TestNAME` and override the fixtures `executor` and `spec`.

    No consumer may take attempts while the suite runs: what was sent must be held. An executor that does not
    wake its consumers through `context.hint` overrides `wakeups` too, with a function that returns how often
    a consumer was woken so far, or how many messages reached the consumers' side.
    """

    @pytest.fixture
    def executor(self) -> BaseExecutor:
        """Return a new executor that is not started."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture 'executor'")

    @pytest.fixture
    def spec(self) -> ExecutorSpec:
        """Return the spec under which the plugin registers it."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture 'spec'")

    @pytest.fixture
    def hints(self) -> Hints:
        """Return the counter behind `context.hint`."""
        return Hints()

    @pytest.fixture
    def context(self, hints: Hints) -> ExecutorContext:
        """Return what the executor is started with."""
        return ExecutorContext(hint=hints, parallelism=4)

    @pytest.fixture
    def started(self, executor: BaseExecutor, context: ExecutorContext) -> Iterator[BaseExecutor]:
        """Return the executor after its start; it is stopped after the test."""
        executor.start(context)
        yield executor
        executor.stop()

    @pytest.fixture
    def wakeups(self, hints: Hints) -> Callable[[], int]:
        """Return a function that counts how often consumers were woken so far."""
        return lambda: hints.count

    def test_it_has_the_name_of_its_spec(self, executor: BaseExecutor, spec: ExecutorSpec) -> None:
        """Tasks and settings know it by one name."""
        _must(executor.name == spec.name, f"its name is {executor.name!r}, its spec's {spec.name!r}")

    def test_its_spec_makes_a_new_executor_each_time(self, spec: ExecutorSpec) -> None:
        """Two processes, or two tests, never share one."""
        one, other = spec.factory(), spec.factory()
        _must(isinstance(one, BaseExecutor), f"the factory made {one!r}, which is no BaseExecutor")
        _must(one is not other, "the factory returned the same executor twice")

    def test_its_parallelism_is_a_positive_number(self, spec: ExecutorSpec) -> None:
        """The local worker can always run something."""
        _must(spec.effective_parallelism(1) >= 1, "no task could ever run with worker.parallelism = 1")
        _must(spec.effective_parallelism(64) >= 1, "no task could ever run with worker.parallelism = 64")

    def test_it_cannot_send_before_its_start(self, executor: BaseExecutor) -> None:
        """A dispatch is never taken by an executor that is not connected."""
        with pytest.raises(ExecutorStateError):
            executor.send([dispatch()])

    def test_it_cannot_send_after_its_stop(self, started: BaseExecutor) -> None:
        """A dispatch is never taken by an executor that has let go."""
        started.stop()
        with pytest.raises(ExecutorStateError):
            started.send([dispatch()])

    def test_it_cannot_start_twice(self, started: BaseExecutor, context: ExecutorContext) -> None:
        """A second start would leak the connections of the first."""
        with pytest.raises(ExecutorStateError):
            started.start(context)

    def test_it_cannot_start_again_after_its_stop(
        self, started: BaseExecutor, context: ExecutorContext
    ) -> None:
        """An executor has one life."""
        started.stop()
        with pytest.raises(ExecutorStateError):
            started.start(context)

    def test_stop_may_come_twice(self, started: BaseExecutor) -> None:
        """Shutting down after a failure stops whatever there is."""
        started.stop()
        started.stop()

    def test_stop_may_come_without_a_start(self, executor: BaseExecutor) -> None:
        """A boot that failed half-way stops whatever there is."""
        executor.stop()

    def test_send_wakes_its_consumers(self, started: BaseExecutor, wakeups: Callable[[], int]) -> None:
        """Work does not wait for the next poll."""
        before = wakeups()
        started.send([dispatch(1), dispatch(2)])
        _must(wakeups() > before, "send woke nobody")

    def test_an_empty_batch_does_nothing(self, started: BaseExecutor, wakeups: Callable[[], int]) -> None:
        """A loop may send what it has found, even when that is nothing."""
        before = wakeups()
        started.send([])
        started.cancel([])
        _must(wakeups() == before, "an empty batch woke somebody")

    def test_the_same_attempt_may_be_sent_again(self, started: BaseExecutor) -> None:
        """The outbox sends at least once; the claim sorts copies out."""
        started.send([dispatch(7, 3)])
        started.send([dispatch(7, 3), dispatch(7, 3)])

    def test_send_takes_any_sequence(self, started: BaseExecutor) -> None:
        """It is given a tuple or a list, and leaves it as it was."""
        batch = [dispatch(1), dispatch(2, queue="other")]
        started.send(tuple(batch))
        started.send(batch)
        _must(batch == [dispatch(1), dispatch(2, queue="other")], "send changed the batch")

    def test_cancel_ignores_what_it_does_not_know(self, started: BaseExecutor) -> None:
        """The database has refused these attempts already; the executor only saves work."""
        started.cancel([UNKNOWN])

    def test_a_cancelled_attempt_may_be_cancelled_again(self, started: BaseExecutor) -> None:
        """Cancels may be repeated like sends."""
        started.send([dispatch(5)])
        started.cancel([dispatch(5).key])
        started.cancel([dispatch(5).key])

    def test_its_inventory_names_attempts_or_is_the_database(self, started: BaseExecutor) -> None:
        """What it disowns is queued anew, so it must not name less than it holds."""
        started.send([dispatch(1), dispatch(2)])
        inventory = started.inventory()
        _must(inventory is None or isinstance(inventory, Inventory), f"inventory() returned {inventory!r}")
        if inventory is not None:
            missing = {dispatch(1).key, dispatch(2).key} - inventory.held
            _must(not missing, f"the inventory disowns {sorted(missing)}, which nobody has taken")
            _must(inventory.idle_consumers >= 0, f"idle_consumers is {inventory.idle_consumers}")

    def test_its_capacity_is_a_number_or_unlimited(self, started: BaseExecutor) -> None:
        """The sender sends at most that many."""
        capacity = started.capacity()
        _must(capacity is None or capacity >= 0, f"capacity() returned {capacity!r}")

    def test_its_log_hint_is_text_or_nothing(self, started: BaseExecutor) -> None:
        """It is asked for attempts that it may never have seen."""
        hint = started.log_hint(UNKNOWN)
        _must(hint is None or isinstance(hint, str), f"log_hint() returned {hint!r}")


def _must(holds: bool, sentence: str) -> None:
    """Fail the test with a sentence for the author of the executor, who does not read this file."""
    if not holds:
        pytest.fail(sentence, pytrace=False)
