"""Sending to an executor that carries attempts itself: the outbox is handed over until it is known to be taken."""

from collections.abc import Sequence

import pytest
from tests.integration.harness import Engine, spec_of

from orch.failpoints import FailpointError, Failpoints
from orch.hookspecs import hookimpl
from orch.hookspecs.executors import (
    AttemptKey,
    BaseExecutor,
    Dispatch,
    ExecutorContext,
    ExecutorSpec,
    Inventory,
)
from orch.scheduler.send import send
from orch.testing.plugins import plugins_from


class Courier(BaseExecutor):
    """Keeps what it is sent."""

    name = "Courier"

    def __init__(self) -> None:
        self.taken: list[Dispatch] = []
        self.refuses = False

    def send(self, items) -> None:
        if self.refuses:
            raise ConnectionError("the broker is away")
        self.taken += items

    def cancel(self, items) -> None:
        self.taken = [item for item in self.taken if item.key not in items]

    def inventory(self) -> Inventory:
        return Inventory(frozenset(AttemptKey(item.ti_id, item.epoch) for item in self.taken))

    def capacity(self) -> None:
        return None


class CourierPlugin:
    """A plugin that brings the courier."""

    @hookimpl
    def register_executors(self) -> Sequence[ExecutorSpec]:
        return (ExecutorSpec("Courier", Courier),)


def engine_of(tmp_path, failpoints=None):
    engine = Engine.create(tmp_path / "home", failpoints)
    courier = Courier()
    courier.start(ExecutorContext(lambda: None, 1))
    engine.scheduler.context.executors["Courier"] = courier
    engine.scheduler.context.plugins = plugins_from(courier=CourierPlugin())
    engine.add_dag(spec_of({"a": "", "b": ""}, executor="Courier"))
    engine.trigger("d")
    return engine, courier


def unsent(engine) -> object:
    return engine.value("SELECT COUNT(*) FROM dispatch WHERE sent_at IS NULL")


def test_queued_attempts_are_handed_over_once(tmp_path):
    engine, courier = engine_of(tmp_path)
    engine.scheduler.run_once()
    assert len(courier.taken) == 2
    assert unsent(engine) == 0
    assert send(engine.scheduler.context) == 0
    engine.check()
    engine.store.close()


def test_the_command_holds_ids_only(tmp_path):
    engine, courier = engine_of(tmp_path)
    engine.scheduler.run_once()
    assert courier.taken[0].command == '{"format": 1, "ti_id": 1, "epoch": 1}'
    engine.store.close()


def test_what_is_refused_comes_again(tmp_path):
    engine, courier = engine_of(tmp_path)
    courier.refuses = True
    engine.scheduler.run_once()
    assert unsent(engine) == 2
    courier.refuses = False
    assert send(engine.scheduler.context) == 2
    engine.store.close()


@pytest.mark.parametrize("moment", ["send.begin", "send.before_commit", "send.after_commit"])
def test_a_crash_at_any_moment_loses_nothing(tmp_path, moment):
    marker = tmp_path / "hit"
    engine, courier = engine_of(tmp_path, Failpoints({moment: "error"}, str(marker)))
    with pytest.raises(FailpointError):
        engine.scheduler.run_once()
    assert marker.exists()
    engine.scheduler.run_once()
    assert unsent(engine) == 0
    assert {item.key for item in courier.taken} == {(1, 1), (2, 1)}
    engine.check()
    engine.store.close()
