"""Drop-in plugins: files in a folder, imported under their own names."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orch.errors import PluginError
from orch.plugins import PluginReport, Plugins, PluginState, load_plugins
from orch.settings import load_settings

PLUGIN = """
from orch.hookspecs import OperatorSpec, hookimpl

@hookimpl
def register_operators():
    return [OperatorSpec("DropOperator", "{name}:DropOperator")]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A plugins folder, whose modules are forgotten after the test."""
    path, before, known = tmp_path / "plugins", list(sys.path), set(sys.modules)
    path.mkdir()
    yield path
    sys.path[:] = before
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(path)):
            del sys.modules[name]


def loaded(folder: Path) -> Plugins:
    return load_plugins(load_settings(folder.parent, {"ORCH_PLUGINS": str(folder)}))


def report_of(folder: Path, name: str) -> PluginReport:
    return {each.name: each for each in loaded(folder).report}[name]


def test_each_module_of_the_folder_is_a_plugin(folder: Path) -> None:
    (folder / "drop_one.py").write_text(PLUGIN.format(name="drop_one"), encoding="utf-8")
    plugins = loaded(folder)
    report = {each.name: each for each in plugins.report}["drop_one"]
    assert (report.state, report.distribution, report.version) == (PluginState.OK, None, None)
    assert report.origin == str(folder / "drop_one.py")
    assert plugins.operators["DropOperator"].import_path == "drop_one:DropOperator"


def test_private_modules_and_other_files_are_no_plugins(folder: Path) -> None:
    for name in ("_shared.py", "README.md", "notes.txt", "drop_two.py"):
        (folder / name).touch()
    assert "drop_two" in (names := [each.name for each in loaded(folder).report])
    assert not {"_shared", "README", "notes"} & set(names)


def test_a_drop_in_may_import_its_neighbours(folder: Path) -> None:
    (folder / "_drop_shared.py").write_text("NAME = 'drop_three'\n", encoding="utf-8")
    (folder / "drop_three.py").write_text("from _drop_shared import NAME\n", encoding="utf-8")
    assert report_of(folder, "drop_three").state is PluginState.OK


def test_a_drop_in_with_a_syntax_error_is_set_aside(folder: Path) -> None:
    (folder / "drop_four.py").write_text("def (:\n", encoding="utf-8")
    report = report_of(folder, "drop_four")
    assert report.state is PluginState.BROKEN
    assert "SyntaxError" in (report.error or "")


def test_a_drop_in_cannot_take_the_name_of_an_installed_module(folder: Path) -> None:
    (folder / "json.py").touch()
    report = report_of(folder, "json")
    assert report.state is PluginState.BROKEN
    assert "the name of json.py is taken by another module" in (report.error or "")


def test_a_drop_in_needs_a_name_that_can_be_imported(folder: Path) -> None:
    (folder / "my-plugin.py").touch()
    assert "my-plugin.py is no name for a module" in (report_of(folder, "my-plugin").error or "")


def test_the_folder_cannot_hide_installed_modules(folder: Path) -> None:
    (folder / "drop_five.py").touch()
    loaded(folder)
    assert sys.path[-1] == str(folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"plugins folder .*/nowhere does not exist; create it"):
        loaded(tmp_path / "nowhere")
