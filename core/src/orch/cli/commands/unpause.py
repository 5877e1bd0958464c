"""`orch unpause`: let a paused DAG go on."""

from typing import Any

import click

from orch.app.services import open_store, services_of, timetables_of
from orch.cli.completing import dag_ids
from orch.cli.output import Output
from orch.cli.prepare import prepare
from orch.cli.site import json_option, with_settings
from orch.clock import isoformat
from orch.operations import pause as pausing
from orch.operations.actor import local_actor
from orch.operations.pause import MOST_SHOWN, DueRun, PauseResult
from orch.settings import Settings


@click.command()
@click.argument("dag_id", metavar="DAG", shell_complete=dag_ids)
@click.option("--dry-run", is_flag=True, help="Only show which runs are due; change nothing.")
@json_option
@with_settings(dags=True)
def unpause(settings: Settings, dag_id: str, *, dry_run: bool, as_json: bool) -> None:
    """Let a paused DAG go on, after showing which runs are due."""
    prepare(settings, dag_id)
    with open_store(settings) as store:
        if dry_run:
            with store.read() as tx:
                due = pausing.due_when_unpaused(tx, dag_id, timetables_of(settings))
            result = PauseResult(dag_id, is_paused=True, changed=False, due=due)
        else:
            result = pausing.unpause(services_of(settings, store), local_actor(), dag_id)
    output = Output()
    if as_json:
        output.json(_document(result))
        return
    if result.schedule_error is not None:
        output.note(f"which runs are due cannot be said: {result.schedule_error}")
    for sentence in _due(result):
        output.line(sentence)
    if not dry_run:
        output.line(f"{dag_id} is unpaused" if result.changed else f"{dag_id} was not paused")


def _due(result: PauseResult) -> list[str]:
    """Say what unpausing creates; the middle of many is left out."""
    if not result.due:
        return ["no run is due at once"] if result.schedule_error is None else []
    count = f"{len(result.due):,} runs are" if len(result.due) > 1 else "1 run is"
    more = " or more" if len(result.due) == MOST_SHOWN else ""
    shown = [_line(run) for run in result.due]
    lines = shown if len(shown) <= 6 else [*shown[:3], "...", *shown[-2:]]
    return [f"{count}{more} due at once:", *(f"  {line}" for line in lines)]


def _line(run: DueRun) -> str:
    """The logical date; with the time of the run when that is another one."""
    date = str(isoformat(run.logical_date))
    return date if run.run_after == run.logical_date else f"{date} (runs at {isoformat(run.run_after)})"


def _document(result: PauseResult) -> dict[str, Any]:
    runs = [
        {"logical_date": isoformat(run.logical_date), "run_after": isoformat(run.run_after)}
        for run in result.due
    ]
    return {
        "dag_id": result.dag_id,
        "is_paused": result.is_paused,
        "changed": result.changed,
        "due": [run["logical_date"] for run in runs],
        "due_runs": runs,
        "schedule_error": result.schedule_error,
    }
