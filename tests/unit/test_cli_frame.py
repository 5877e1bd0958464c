"""The frame of the command line: help without imports, nearest names, errors as one line, exit codes."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from orch.cli.catalogue import COMMANDS
from orch.cli.edge import exit_code_of
from orch.cli.main import cli
from orch.errors import BadInput, Conflict

HEAVY = ("sqlalchemy", "alembic", "rich", "watchdog")


def run(*args: str, home: Path | None = None):
    return CliRunner().invoke(cli, list(args), env={"ORCH_HOME": str(home)} if home else None)


def imported_by(*args: str) -> set[str]:
    code = (
        "import sys\n"
        "from orch.cli.main import main\n"
        f"sys.argv = ['orch', *{list(args)!r}]\n"
        "try: main()\n"
        "except SystemExit: print(' '.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("args", [("--help",), ("version",), ("completion", "bash")])
def test_cheap_commands_import_nothing_heavy(args):
    assert not imported_by(*args) & set(HEAVY)


def test_reading_commands_do_without_sqlalchemy():
    modules = ", ".join(f"orch.cli.commands.{name}" for name in ("status", "list_runs", "task_log", "why"))
    code = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "sqlalchemy" not in done.stdout.split()


def test_help_names_every_command_with_its_line():
    result = run("--help")
    assert result.exit_code == 0
    for name, entry in COMMANDS.items():
        assert name in result.output
        assert entry.help.split()[0] in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_begins_with_the_line_of_the_table(name):
    result = run(name, "--help")
    assert result.exit_code == 0
    assert COMMANDS[name].help.rstrip(".") in " ".join(result.output.split())


def test_an_unknown_command_offers_the_nearest_one():
    result = run("statsu")
    assert result.exit_code == 2
    assert "unknown command 'statsu'; did you mean 'status'?" in result.output


def test_an_unknown_option_is_bad_input():
    assert run("status", "--nope", "x").exit_code == 2


def test_a_command_without_a_home_says_how_to_begin(tmp_path):
    result = run("status", "weather", home=tmp_path / "none")
    assert result.exit_code == 2
    assert "there is no database in" in result.output
    assert "orch up" in result.output
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (BadInput("no such thing"), 2, "error: no such thing"),
        (Conflict("taken"), 2, "error: taken"),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "error: /x/y: Permission denied"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.UsageError("what?"), 2, "what?"),
        (click.exceptions.Exit(3), 3, ""),
    ],
)
def test_errors_become_one_line_and_an_exit_code(error, code, text, capsys, tmp_path):
    def command() -> None:
        raise error

    assert exit_code_of(command, lambda: tmp_path, ["x"]) == code
    captured = capsys.readouterr()
    assert text in captured.err
    assert "Traceback" not in captured.err + captured.out
    assert not list(tmp_path.rglob("cli-crash-*"))


def test_a_bug_leaves_a_report_and_one_line(capsys, tmp_path):
    def command() -> None:
        raise ZeroDivisionError("oops")

    assert exit_code_of(command, lambda: tmp_path, ["run", "x"]) == 1
    (report,) = tmp_path.glob("logs/_components/cli-crash-*.txt")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ZeroDivisionError: oops" in line
    assert str(report) in line
    assert "in command" in report.read_text()


def test_a_bug_without_a_place_for_the_report_is_still_one_line(capsys, tmp_path):
    def command() -> None:
        raise ZeroDivisionError("oops")

    file = tmp_path / "file"
    file.touch()
    assert exit_code_of(command, lambda: file, ["x"]) == 1
    assert "no crash report" in capsys.readouterr().err


@pytest.mark.parametrize(("value", "code"), [(None, 0), (0, 0), (1, 1), (7, 7)])
def test_the_number_a_command_returns_is_the_exit_code(value, code, tmp_path):
    assert exit_code_of(lambda: value, lambda: tmp_path, []) == code


def test_a_closed_pipe_is_silent(tmp_path):
    code = "from orch.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(10) == 141
    process.stderr.close()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(shell):
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_ORCH_COMPLETE" in result.output


def test_completion_of_another_shell_is_refused():
    assert run("completion", "csh").exit_code == 2
