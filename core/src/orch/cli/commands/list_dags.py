"""`orch list-dags`: every DAG that orch knows."""

from typing import Any

import click

from orch.app.reader import open_reader
from orch.cli.output import Cell, Output
from orch.cli.prepare import error_line, refresh
from orch.cli.site import json_option, with_settings
from orch.clock import isoformat
from orch.settings import Settings
from orch.store.queries import reading
from orch.store.queries.reading import DagRow


@click.command("list-dags")
@click.option("--all", "with_missing", is_flag=True, help="Also those whose file is gone.")
@json_option
@with_settings(dags=True)
def list_dags(settings: Settings, *, with_missing: bool, as_json: bool) -> None:
    """List the DAGs, their schedules and import errors."""
    output = Output()
    refresh(settings)
    with open_reader(settings) as reader, reader.read() as tx:
        dags = reading.list_dags(tx, with_missing=with_missing)
        errors = reading.import_errors(tx)
    if as_json:
        output.json([as_document(row) for row in dags])
    elif not dags:
        output.line(f"no DAGs in {settings.core.dags_folder}")
    else:
        columns = ("dag_id", "schedule", "paused", "next run", "file", "tags", "import error")
        output.table(columns, [_row(row) for row in dags])
    for error in errors:
        output.note(error_line(error))


def as_document(row: DagRow) -> dict[str, Any]:
    """Return a DAG as `--json` prints it."""
    return {
        "dag_id": row.dag_id,
        "is_paused": row.is_paused,
        "schedule": row.schedule,
        "next_run_at": isoformat(row.next_run_at),
        "import_error": row.import_error,
    }


def _row(row: DagRow) -> tuple[Cell, ...]:
    paused = "paused" if row.is_paused else None
    file = f"{row.file} (gone)" if row.is_missing else row.file
    next_run = "after the open one" if row.follows_open_run else row.next_run_at
    if row.is_paused or row.is_missing:
        next_run = None  # there is none before that has changed
    return row.dag_id, row.schedule, paused, next_run, file, ", ".join(row.tags), row.import_error
