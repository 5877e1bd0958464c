"""`orch list-runs`: the runs of one DAG."""

from typing import Any

import click

from orch.app.reader import open_reader
from orch.cli.completing import dag_ids
from orch.cli.output import Cell, Output
from orch.cli.site import json_option, with_settings
from orch.clock import isoformat
from orch.settings import Settings
from orch.store.queries import reading
from orch.store.queries.reading import RunRow


@click.command("list-runs")
@click.argument("dag_id", metavar="DAG", shell_complete=dag_ids)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Most runs to list.")
@json_option
@with_settings()
def list_runs(settings: Settings, dag_id: str, *, limit: int, as_json: bool) -> None:
    """List the runs of a DAG, newest first."""
    output = Output()
    with open_reader(settings) as reader, reader.read() as tx:
        runs = reading.list_runs(tx, dag_id, limit)
    if as_json:
        output.json([as_document(run) for run in runs])
    else:
        columns = ("run_id", "type", "state", "logical date", "started", "took", "by")
        output.table(columns, [_row(run) for run in runs])


def as_document(run: RunRow) -> dict[str, Any]:
    """Return a run as `--json` prints it."""
    return {
        "run_id": run.run_id,
        "run_type": run.run_type,
        "backfill_id": run.backfill_id,
        "state": run.state,
        "logical_date": isoformat(run.logical_date),
        "started_at": isoformat(run.started_at),
        "ended_at": isoformat(run.ended_at),
    }


def _row(run: RunRow) -> tuple[Cell, ...]:
    took = run.ended_at - run.started_at if run.started_at and run.ended_at else None
    return run.run_id, run.run_type, run.state, run.logical_date, run.started_at, took, run.triggered_by
