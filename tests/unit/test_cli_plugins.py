"""`orch plugins` and `orch config`: what they print, and what they answer to bad input."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orch.cli.main import cli
from orch.settings import SETTINGS

BROKEN = "raise RuntimeError('no broker at all')\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a broken drop-in, and no variables from outside."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "cli_broken_drop_in.py").write_text(BROKEN, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)  # so that the path is as before after the test
    for setting in SETTINGS:
        for variable in setting.variables:
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ORCH_PLUGINS", str(folder))
    return tmp_path


def orch(home: Path, *args: str, env: Mapping[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli, [*args, "--home", str(home)], env=env)


def test_plugins_lists_what_is_installed(home: Path) -> None:
    result = orch(home, "plugins")
    assert result.exit_code == 0
    line = next(line for line in result.stdout.splitlines() if line.startswith("local "))
    assert line.split() == ["local", "orch-local", version("orch-local"), "ok", "register_executors"]
    assert "executors: LocalExecutor, SequentialExecutor" in result.stdout


def test_plugins_shows_a_broken_one_with_its_error(home: Path) -> None:
    result = orch(home, "plugins")
    assert result.exit_code == 0
    assert f"({home}/plugins/cli_broken_drop_in.py): RuntimeError: no broker at all" in result.stdout
    assert not result.stderr


def test_plugins_as_json_carries_the_traceback(home: Path) -> None:
    plugins = {each["name"]: each for each in json.loads(orch(home, "plugins", "--json").stdout)}
    broken = plugins["cli_broken_drop_in"]
    assert (broken["state"], broken["distribution"], broken["hooks"]) == ("broken", None, [])
    assert "raise RuntimeError" in broken["traceback"]
    assert plugins["local"]["hooks"] == ["register_executors"]


def test_a_required_plugin_that_is_broken_is_bad_input(home: Path) -> None:
    result = orch(home, "plugins", env={"ORCH_PLUGINS_REQUIRED": "cli_broken_drop_in"})
    assert result.exit_code == 2
    assert "error: plugin 'cli_broken_drop_in'" in result.stderr
    assert "Traceback" not in result.output


def test_config_list_names_every_setting_with_value_and_source(home: Path) -> None:
    (home / "orch.toml").write_text("[worker]\nparallelism = 7\n", encoding="utf-8")
    listed = {each["name"]: each for each in json.loads(orch(home, "config", "list", "--json").stdout)}
    assert list(listed) == [setting.name for setting in SETTINGS]
    assert (listed["worker.parallelism"]["value"], listed["worker.parallelism"]["source"]) == (
        7,
        f"file {home / 'orch.toml'}",
    )


def test_config_list_reads_as_a_table(home: Path) -> None:
    lines = orch(home, "config", "list").stdout.splitlines()
    assert lines[0].split() == ["setting", "value", "source", "meaning"]
    assert any(line.startswith("scheduler.poll_seconds ") for line in lines)


def test_config_get_prints_the_bare_value(home: Path) -> None:
    result = orch(home, "config", "get", "plugins.required", env={"ORCH_PLUGINS_REQUIRED": "local,standard"})
    assert result.stdout == "local, standard\n"
    assert result.stderr.startswith("environment ORCH_PLUGINS_REQUIRED: ")


@pytest.mark.parametrize("args", [("list",), ("list", "--json"), ("get", "database.url")])
def test_config_never_shows_the_password_of_the_database(home: Path, args: tuple[str, ...]) -> None:
    result = orch(home, "config", *args, env={"ORCH_DATABASE_URL": "postgresql://me:s3cret@db/orch"})
    assert "postgresql://me:***@db/orch" in result.stdout
    assert "s3cret" not in result.output


def test_config_get_offers_the_nearest_name(home: Path) -> None:
    result = orch(home, "config", "get", "worker.paralelism")
    assert result.exit_code == 2
    assert "unknown setting 'worker.paralelism'; did you mean 'worker.parallelism'?" in result.stderr


def test_a_bad_setting_is_one_line_and_bad_input(home: Path) -> None:
    result = orch(home, "config", "list", env={"ORCH_WORKER_PARALLELISM": "many"})
    assert result.exit_code == 2
    assert result.stderr == (
        "error: setting worker.parallelism = 'many' (environment ORCH_WORKER_PARALLELISM): "
        "it must be a whole number\n"
    )
