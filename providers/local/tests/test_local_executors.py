"""The executors of this machine keep the executor contract."""

import pytest

from orch.hookspecs import BaseExecutor, ExecutorContext, ExecutorSpec
from orch.testing import check_plugin, plugins_from
from orch.testing.executors import ExecutorContract, dispatch
from orch_local import plugin
from orch_local.executors import LocalExecutor, SequentialExecutor


class TestLocalExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self) -> BaseExecutor:
        return LocalExecutor()

    @pytest.fixture
    def spec(self) -> ExecutorSpec:
        return plugins_from(plugin).executor("LocalExecutor")


class TestSequentialExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self) -> BaseExecutor:
        return SequentialExecutor()

    @pytest.fixture
    def spec(self) -> ExecutorSpec:
        return plugins_from(plugin).executor("SequentialExecutor")


def test_the_plugin_keeps_the_hook_specs() -> None:
    check_plugin(plugin)


def test_both_executors_need_the_local_worker() -> None:
    executors = plugins_from(plugin).executors
    assert {name: spec.needs_local_worker for name, spec in executors.items()} == {
        "LocalExecutor": True,
        "SequentialExecutor": True,
    }


def test_local_executor_uses_the_parallelism_of_the_settings() -> None:
    assert plugins_from(plugin).executor("LocalExecutor").effective_parallelism(12) == 12


def test_sequential_executor_runs_one_task_whatever_the_settings_say() -> None:
    assert plugins_from(plugin).executor("SequentialExecutor").effective_parallelism(12) == 1


def test_one_batch_is_one_wake_up() -> None:
    wakes: list[None] = []
    executor = LocalExecutor()
    executor.start(ExecutorContext(hint=lambda: wakes.append(None), parallelism=2))
    executor.send([dispatch(number) for number in range(100)])
    assert len(wakes) == 1


def test_the_database_is_the_inventory_and_sets_no_limit() -> None:
    executor = LocalExecutor()
    executor.start(ExecutorContext(hint=lambda: None, parallelism=2))
    assert executor.inventory() is None  # type: ignore[func-returns-value]  # None is the answer
    assert executor.capacity() is None  # type: ignore[func-returns-value]  # None is the answer
