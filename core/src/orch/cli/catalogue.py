"""The table of orch's own commands: name, where it lives, and the line that `orch --help` shows."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """One command that is imported only when it is used."""

    section: str
    import_path: str
    """`module:attribute` of a click command."""
    help: str


def _entry(section: str, name: str, help_line: str) -> tuple[str, CommandEntry]:
    attribute = name.replace("-", "_")
    return name, CommandEntry(section, f"orch.cli.commands.{attribute}:{attribute}", help_line)


COMMANDS: Mapping[str, CommandEntry] = dict(
    (
        _entry("Run", "up", "Start DAG processor, scheduler and local worker, and show what runs."),
        _entry("Run", "run", "Run one DAG to its end and print its results."),
        _entry("Run", "trigger", "Create a run of a DAG and print its run id."),
        _entry("Run", "pause", "Let a DAG start nothing new; what runs goes on."),
        _entry("Run", "unpause", "Let a paused DAG go on, after showing which runs are due."),
        _entry("Run", "backfill", "Fill dates of the past with runs, and watch over that."),
        _entry("Look", "list-dags", "List the DAGs, their schedules and import errors."),
        _entry("Look", "list-runs", "List the runs of a DAG, newest first."),
        _entry("Look", "status", "Show the tasks of one run."),
        _entry("Look", "show", "Draw a DAG with the states of one run."),
        _entry("Look", "task-log", "Print the log of a task."),
        _entry("Look", "why", "Say why a run, or a task of it, is not running."),
        _entry("Look", "cron", "Say when a cron expression ticks."),
        _entry("Look", "schedule", "Show which runs a schedule makes."),
        _entry("Manage", "pools", "Show and change the pools."),
        _entry("Manage", "dags", "Check the DAG files; show and compare versions of DAGs."),
        _entry("Manage", "db", "Migrate and verify the database."),
        _entry("Manage", "config", "Show the settings and where each value comes from."),
        _entry("Manage", "plugins", "List the plugins and what they add."),
        _entry("Manage", "completion", "Print the completion script for your shell."),
        _entry("Manage", "version", "Print the version of orch."),
    )
)
