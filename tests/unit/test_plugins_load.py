"""Loading plugins: what is taken in, what is set aside, and what stops the boot."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from orch.errors import PluginError
from orch.hookspecs import BaseExecutor, CliCommandSpec, ExecutorSpec, OperatorSpec, hookimpl
from orch.plugins import Plugins, PluginState, load_plugins
from orch.plugins.discovery import Candidate
from orch.plugins.load import load_candidates
from orch.settings import PluginsSettings, load_settings

MISTAKE: Any = 1


def make_executor() -> BaseExecutor:
    raise NotImplementedError


class Operators:
    """A plugin with one operator."""

    def __init__(self, name: str = "EchoOperator", path: str = "echo.operators:EchoOperator") -> None:
        self.spec = OperatorSpec(name, path)

    @hookimpl
    def register_operators(self) -> Sequence[OperatorSpec]:
        return [self.spec]


class Executors:
    """A plugin with one executor."""

    @hookimpl
    def register_executors(self) -> Sequence[ExecutorSpec]:
        return (ExecutorSpec("FarExecutor", make_executor),)


class Commands:
    """A plugin with one command."""

    @hookimpl
    def register_cli_commands(self) -> Sequence[CliCommandSpec]:
        return [CliCommandSpec("echo", "echo.cli:echo", "Say it again.")]


def plugins_of(*, required: tuple[str, ...] = (), blocked: tuple[str, ...] = (), **named: object) -> Plugins:
    candidates = [Candidate(name, f"orch_{name}.plugin", giving(plugin)) for name, plugin in named.items()]
    return load_candidates(candidates, PluginsSettings(required=required, blocked=blocked))


def giving(plugin: object) -> Callable[[], object]:
    def load() -> object:
        if isinstance(plugin, BaseException):
            raise plugin
        return plugin

    return load


def with_hook(name: str, function: Callable[..., Any]) -> ModuleType:
    module = ModuleType("made_up")
    setattr(module, name, hookimpl(function))
    return module


def error_of(plugin: object) -> str:
    (report,) = plugins_of(bad=plugin).report
    assert report.state is PluginState.BROKEN
    return report.error or ""


def test_registries_hold_what_all_plugins_bring() -> None:
    plugins = plugins_of(one=Operators(), two=Executors(), three=Commands())
    assert list(plugins.operators) == ["EchoOperator"]
    assert list(plugins.executors) == ["FarExecutor"]
    assert list(plugins.cli_commands) == ["echo"]


def test_registries_are_frozen() -> None:
    with pytest.raises(TypeError):
        plugins_of(one=Operators()).operators["x"] = OperatorSpec("x", "y:z")  # type: ignore[index]  # on purpose


def test_report_is_sorted_by_name_and_names_the_hooks() -> None:
    report = plugins_of(zeta=Operators(), alpha=Executors()).report
    assert [(each.name, each.state, each.hooks) for each in report] == [
        ("alpha", "ok", ("register_executors",)),
        ("zeta", "ok", ("register_operators",)),
    ]


def test_a_plugin_that_cannot_be_imported_is_set_aside() -> None:
    plugins = plugins_of(bad=ImportError("No module named 'kafka'"), good=Operators())
    bad, good = plugins.report
    assert (bad.state, bad.error) == (PluginState.BROKEN, "ImportError: No module named 'kafka'")
    assert "Traceback" in (bad.traceback or "")
    assert good.state is PluginState.OK
    assert list(plugins.operators) == ["EchoOperator"]


def test_a_plugin_that_exits_on_import_is_set_aside() -> None:
    assert error_of(SystemExit(3)) == "SystemExit: 3"


def test_an_interrupt_is_not_mistaken_for_a_broken_plugin() -> None:
    with pytest.raises(KeyboardInterrupt):
        plugins_of(bad=KeyboardInterrupt())


def test_a_hook_that_raises_sets_its_plugin_aside() -> None:
    def explode() -> Sequence[OperatorSpec]:
        raise ValueError("no config\nsecond line")

    assert error_of(with_hook("register_operators", explode)) == "ValueError: no config"


def test_a_broken_plugin_brings_nothing_at_all() -> None:
    class HalfBroken(Operators):
        @hookimpl
        def register_cli_commands(self) -> Sequence[CliCommandSpec]:
            raise ValueError

    plugins = plugins_of(bad=HalfBroken(), good=Executors())
    assert not plugins.operators
    assert list(plugins.executors) == ["FarExecutor"]


def test_an_unknown_hook_is_answered_with_the_nearest() -> None:
    assert error_of(with_hook("register_operator", make_executor)) == (
        "unknown hook 'register_operator'; did you mean 'register_operators'?"
    )


def test_an_unknown_hook_may_be_declared_optional() -> None:
    module = ModuleType("made_up")
    module.on_the_moon = hookimpl(optionalhook=True)(lambda: None)  # type: ignore[attr-defined]  # made up
    (report,) = plugins_of(good=module).report
    assert report.state is PluginState.OK


def test_an_unknown_argument_is_answered_with_the_nearest() -> None:
    assert error_of(with_hook("on_runs_changed", lambda change: None)) == (
        "hook 'on_runs_changed' has no argument 'change'; did you mean 'changes'?"
    )


def test_a_hook_without_its_mark_is_noticed() -> None:
    module = ModuleType("made_up")
    exec("def register_operators():\n    return []\n", vars(module))  # the function must belong to the module
    assert (
        error_of(module) == "register_operators has the name of a hook but no @hookimpl; mark it or rename it"
    )


@pytest.mark.parametrize(
    ("hook", "answer", "problem"),
    [
        ("register_operators", "EchoOperator", "return a list of OperatorSpec"),
        ("register_operators", ["EchoOperator"], "return a list of OperatorSpec"),
        ("register_operators", 5, "return a list of OperatorSpec"),
        ("register_operators", [OperatorSpec("A", "a.b.A")], "is not of the form 'package.module:Name'"),
        ("register_operators", [OperatorSpec("A", "a:A", "two words")], "is no Python name"),
        ("register_operators", [OperatorSpec("A", "a:A"), OperatorSpec("A", "b:A")], "names 'A' twice"),
        ("register_executors", [ExecutorSpec("E", MISTAKE)], "factory 1 is not a function"),
        ("register_executors", [ExecutorSpec("E", make_executor, parallelism=MISTAKE)], "parallelism 1 is not a func"),
        ("register_cli_commands", [CliCommandSpec("Echo Me", "a:b", "")], "use small letters"),
        ("register_cli_commands", [CliCommandSpec("echo", "a.b", "")], "is not of the form"),
    ],
)  # fmt: skip
def test_answers_that_break_the_promise_set_the_plugin_aside(hook: str, answer: object, problem: str) -> None:
    assert problem in error_of(with_hook(hook, lambda: answer))


def test_no_answer_brings_nothing() -> None:
    plugins = plugins_of(shy=with_hook("register_operators", lambda: None))
    assert plugins.report[0].state is PluginState.OK
    assert not plugins.operators


def test_two_plugins_with_one_operator_name_are_both_named() -> None:
    with pytest.raises(PluginError, match=r"'one' and 'two' both bring the operator 'EchoOperator'"):
        plugins_of(one=Operators(), two=Operators(path="other:EchoOperator"))


def test_blocking_one_of_them_settles_it() -> None:
    plugins = plugins_of(blocked=("one",), one=Operators(), two=Operators(path="other:EchoOperator"))
    assert plugins.operators["EchoOperator"].import_path == "other:EchoOperator"
    assert plugins.report[0].state is PluginState.BLOCKED


def test_a_blocked_plugin_is_not_even_imported() -> None:
    (report,) = plugins_of(blocked=("bad",), bad=ImportError("never seen")).report
    assert (report.state, report.error) == (PluginState.BLOCKED, None)


def test_a_required_plugin_that_is_missing_stops_the_boot() -> None:
    with pytest.raises(
        PluginError,
        match=r"'celery' is required by plugins.required but not installed; orch_celery is part of orch-celery",
    ):
        plugins_of(required=("celery",), local=Executors())


def test_a_misspelt_required_plugin_is_answered_with_the_nearest() -> None:
    with pytest.raises(PluginError, match="did you mean 'reports'"):
        plugins_of(required=("report",), reports=Executors())


def test_a_required_plugin_that_is_broken_stops_the_boot() -> None:
    with pytest.raises(
        PluginError, match=r"plugin 'bad' .* broken: ImportError: no kafka; repair it"
    ) as caught:
        plugins_of(required=("bad",), bad=ImportError("no kafka"))
    assert isinstance(caught.value.__cause__, ImportError)


def test_a_plugin_cannot_be_required_and_blocked() -> None:
    with pytest.raises(PluginError, match="choose one"):
        plugins_of(required=("one",), blocked=("one",), one=Operators())


def test_an_executor_is_found_by_name() -> None:
    assert plugins_of(far=Executors()).executor("FarExecutor").factory is make_executor


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("FarExecuter", "unknown executor 'FarExecuter'; did you mean 'FarExecutor'?"),
        ("Nothing", "unknown executor 'Nothing'; known: FarExecutor"),
        (
            "CeleryExecutor",
            "unknown executor 'CeleryExecutor'; orch_celery is part of orch-celery, "
            "which comes in a later release of orch",
        ),
    ],
)
def test_an_unknown_executor_is_answered_with_a_remedy(name: str, remedy: str) -> None:
    with pytest.raises(PluginError) as caught:
        plugins_of(far=Executors()).executor(name)
    assert str(caught.value) == remedy


def test_without_any_executor_the_first_provider_is_named() -> None:
    with pytest.raises(PluginError, match="unknown executor 'Nothing'; known: none; pip install orch-local"):
        Plugins().executor("Nothing")


def test_an_executor_of_a_broken_plugin_is_explained_by_it() -> None:
    plugins = plugins_of(celery=ImportError("No module named 'celery'"))
    with pytest.raises(
        PluginError, match="plugin 'celery', which brings it, is broken: ImportError: No module"
    ):
        plugins.executor("CeleryExecutor")


def test_an_executor_of_a_blocked_plugin_is_explained_by_it() -> None:
    plugins = plugins_of(blocked=("celery",), celery=Executors())
    with pytest.raises(PluginError, match=r"is blocked by plugins\.blocked"):
        plugins.executor("CeleryExecutor")


def test_installed_packages_are_found_by_their_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, name="made-up", version="1.2", module="made_up_one", body=OPERATOR_PLUGIN)
    report = {each.name: each for each in load_plugins(load_settings(tmp_path, {})).report}["made_up_one"]
    assert (report.distribution, report.version, report.state) == ("made-up", "1.2", PluginState.OK)
    assert report.hooks == ("register_operators",)


def test_a_broken_installed_package_is_logged_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(
        tmp_path, monkeypatch, name="made-up", version="1", module="made_up_two", body="import not_there\n"
    )
    with caplog.at_level(logging.WARNING, "orch.plugins"):
        load_plugins(load_settings(tmp_path, {}))
    assert "plugin 'made_up_two' (made_up_two) is broken and set aside: ModuleNotFoundError" in caplog.text


def test_two_plugins_of_one_name_are_both_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path, monkeypatch, name="made-up", version="1.2", module="made_up_three", body=OPERATOR_PLUGIN
    )
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "made_up_three.py").touch()
    with pytest.raises(
        PluginError, match=r"two plugins are named 'made_up_three': made-up 1\.2 and drop-in .*/made"
    ):
        load_plugins(load_settings(tmp_path, {"ORCH_PLUGINS": str(folder)}))


OPERATOR_PLUGIN = """
from orch.hookspecs import OperatorSpec, hookimpl

@hookimpl
def register_operators():
    return [OperatorSpec("MadeUpOperator", "made_up:MadeUpOperator")]
"""


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, name: str, version: str, module: str, body: str
) -> None:
    """Put a distribution with one plugin module on the path, as an installer would."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(f"[orch]\n{module} = {module}\n", encoding="utf-8")
    (folder / f"{module}.py").write_text(body, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
