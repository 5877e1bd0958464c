"""The testing kit: `check_plugin` finds what pluggy does not."""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest

from orch.errors import PluginError
from orch.hookspecs import CliCommandSpec, DagRunChange, ExecutorSpec, OperatorSpec, hookimpl
from orch.plugins.catalogue import package_with_operator, remedy_for_module
from orch.testing import check_import_paths, check_plugin, plugins_from


def plugin_with(name: str, function: Callable[..., Any]) -> ModuleType:
    module = ModuleType("made_up.plugin")
    setattr(module, name, hookimpl(function))
    return module


def complaint(name: str, function: Callable[..., Any]) -> str:
    with pytest.raises(AssertionError) as caught:
        check_plugin(plugin_with(name, function))
    return str(caught.value)


def exact() -> Sequence[OperatorSpec]:
    return ()


def narrower() -> list[OperatorSpec]:
    return []


def tuple_of_them() -> tuple[OperatorSpec, ...]:
    return ()


def without_annotation():
    return ()


def of_another_kind() -> Sequence[ExecutorSpec]:
    return ()


def no_sequence() -> OperatorSpec:
    raise NotImplementedError


def wrong_item(changes: Sequence[str]) -> None: ...


def bare_argument(changes) -> None: ...


def exact_observer(changes: Sequence[DagRunChange]) -> None: ...


def misspelt_argument(change: Sequence[DagRunChange]) -> None: ...


@pytest.mark.parametrize("function", [exact, narrower, tuple_of_them])
def test_matching_annotations_pass(function: Callable[..., Any]) -> None:
    check_plugin(plugin_with("register_operators", function))


def test_a_matching_observer_passes() -> None:
    check_plugin(plugin_with("on_runs_changed", exact_observer))


@pytest.mark.parametrize(
    ("hook", "function", "problem"),
    [
        ("register_operators", without_annotation, "the return value has no annotation"),
        ("register_operators", of_another_kind, "the return value is annotated"),
        ("register_operators", no_sequence, "the return value is annotated OperatorSpec"),
        ("on_runs_changed", wrong_item, "argument 'changes' is annotated collections.abc.Sequence[str]"),
        ("on_runs_changed", bare_argument, "argument 'changes' has no annotation"),
        ("on_runs_changed", misspelt_argument, "has no argument 'change'; did you mean 'changes'?"),
        ("on_run_changed", exact_observer, "unknown hook 'on_run_changed'; did you mean 'on_runs_changed'?"),
    ],
)
def test_differences_are_named(hook: str, function: Callable[..., Any], problem: str) -> None:
    message = complaint(hook, function)
    assert message.startswith("made_up.plugin: ")
    assert problem in message


def test_import_paths_that_lead_somewhere_pass() -> None:
    spec = OperatorSpec("Path", "pathlib:Path.home")
    check_import_paths(plugin_with("register_operators", lambda: [spec]))


@pytest.mark.parametrize("path", ["not_there.at_all:Thing", "pathlib:NotThere"])
def test_import_paths_that_lead_nowhere_are_named(path: str) -> None:
    plugin = plugin_with("register_cli_commands", lambda: [CliCommandSpec("echo", path, "")])
    with pytest.raises(AssertionError, match=f"orch echo: {path} leads nowhere"):
        check_import_paths(plugin)


def test_plugins_from_refuses_a_broken_plugin() -> None:
    with pytest.raises(PluginError, match="plugin 'made_up'"):
        plugins_from(plugin_with("register_operators", lambda: 5))


@pytest.mark.parametrize(
    ("module", "remedy"),
    [
        ("orch_standard", "pip install orch-standard"),
        ("orch_standard.bash", "pip install orch-standard"),
        ("orch_http.get", "orch_http is part of orch-http, which comes in a later release of orch"),
        ("orch_nothing", None),
        ("pandas", None),
        (None, None),
    ],
)
def test_a_missing_provider_has_a_remedy(module: str | None, remedy: str | None) -> None:
    assert remedy_for_module(module) == remedy


def test_the_catalogue_knows_who_brings_an_operator() -> None:
    assert package_with_operator("BashOperator") == "orch_standard"
    assert package_with_operator("NoOperator") is None
