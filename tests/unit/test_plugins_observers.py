"""Observers: each hears each batch, and none can harm another or the caller."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from types import ModuleType

import pytest

from orch.domain.states import RunState, TaskState
from orch.hookspecs import DagRunChange, OperatorSpec, TaskInstanceChange, hookimpl
from orch.plugins import Plugins
from orch.plugins.discovery import Candidate
from orch.plugins.load import load_candidates
from orch.plugins.observers import FAILURES_IN_A_ROW
from orch.settings import PluginsSettings
from orch.testing import check_plugin, plugins_from

AT = datetime(2024, 1, 1, tzinfo=UTC)
TASK_CHANGE = TaskInstanceChange(
    "etl", "r1", "load", -1, TaskState.QUEUED, TaskState.RUNNING, try_number=1, at=AT
)
RUN_CHANGE = DagRunChange("etl", "r1", RunState.RUNNING, RunState.SUCCESS, at=AT)


class Recorder:
    """Remembers what it was told."""

    def __init__(self, log: list[str] | None = None, name: str = "") -> None:
        self.heard: list[object] = []
        self.log = log if log is not None else []
        self.name = name

    @hookimpl
    def on_task_instances_changed(self, changes: Sequence[TaskInstanceChange]) -> None:
        self.heard.extend(changes)
        self.log.append(self.name)

    @hookimpl
    def on_runs_changed(self, changes: Sequence[DagRunChange]) -> None:
        self.heard.extend(changes)


class Failing:
    """Fails until it is healed."""

    def __init__(self) -> None:
        self.calls = 0
        self.is_healed = False

    @hookimpl
    def on_runs_changed(self, changes: Sequence[DagRunChange]) -> None:
        self.calls += 1
        if not self.is_healed:
            raise ValueError("no connection")


def tell(plugins: Plugins, times: int) -> None:
    for _ in range(times):
        plugins.notify_runs([RUN_CHANGE])


def test_observers_keep_the_hook_specs() -> None:
    check_plugin(Recorder())


def test_an_observer_hears_of_task_instances_and_runs() -> None:
    recorder = Recorder()
    plugins = plugins_from(recorder)
    plugins.notify_task_instances([TASK_CHANGE])
    plugins.notify_runs([RUN_CHANGE])
    assert recorder.heard == [TASK_CHANGE, RUN_CHANGE]


def test_an_empty_batch_is_told_to_nobody() -> None:
    recorder = Recorder()
    plugins_from(recorder).notify_task_instances([])
    assert not recorder.log


def test_observers_are_called_in_the_order_of_their_names() -> None:
    log: list[str] = []
    plugins = plugins_from(b=Recorder(log, "b"), c=Recorder(log, "c"), a=Recorder(log, "a"))
    plugins.notify_task_instances([TASK_CHANGE])
    assert log == ["a", "b", "c"]


def test_a_failing_observer_keeps_nobody_else_from_hearing(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    with caplog.at_level(logging.ERROR, "orch.plugins"):
        plugins_from(a=Failing(), b=recorder).notify_runs([RUN_CHANGE])
    assert recorder.heard == [RUN_CHANGE]
    assert "plugin 'a' failed in on_runs_changed: no connection" in caplog.text


def test_an_observer_that_keeps_failing_is_switched_off(caplog: pytest.LogCaptureFixture) -> None:
    failing = Failing()
    plugins = plugins_from(failing)
    tell(plugins, FAILURES_IN_A_ROW + 5)
    assert failing.calls == FAILURES_IN_A_ROW
    assert plugins.run_observers[0].is_switched_off
    assert caplog.text.count("is no longer called for on_runs_changed") == 1


def test_one_success_starts_the_count_anew() -> None:
    failing = Failing()
    plugins = plugins_from(failing)
    tell(plugins, FAILURES_IN_A_ROW - 1)
    failing.is_healed = True
    tell(plugins, 1)
    failing.is_healed = False
    tell(plugins, FAILURES_IN_A_ROW - 1)
    (observer,) = plugins.run_observers
    assert not observer.is_switched_off
    assert (observer.calls, observer.failures) == (19, 18)


def test_a_plugin_that_was_set_aside_is_told_nothing() -> None:
    class HalfBroken(Recorder):
        @hookimpl
        def register_operators(self) -> Sequence[OperatorSpec]:
            raise ValueError

    half_broken = HalfBroken()
    plugins = load_candidates([Candidate("bad", "bad", lambda: half_broken)], PluginsSettings())
    plugins.notify_runs([RUN_CHANGE])
    assert not half_broken.heard


def test_an_observer_names_only_the_arguments_it_uses() -> None:
    module, calls = ModuleType("made_up"), []
    module.on_runs_changed = hookimpl(lambda: calls.append(1))  # type: ignore[attr-defined]  # made up
    plugins_from(module).notify_runs([RUN_CHANGE])
    assert calls == [1]


def test_an_interrupt_is_passed_on() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    module = ModuleType("made_up")
    module.on_runs_changed = hookimpl(interrupted)  # type: ignore[attr-defined]  # made up
    with pytest.raises(KeyboardInterrupt):
        plugins_from(module).notify_runs([RUN_CHANGE])
