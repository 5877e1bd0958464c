"""`orch status`: one run and its task instances."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from orch.app.reader import open_reader
from orch.cli.completing import dag_ids, run_ids
from orch.cli.output import Cell, Output, cell_text, span_text
from orch.cli.site import json_option, with_settings
from orch.clock import isoformat, system_clock
from orch.domain.dagspec import DagSpec
from orch.settings import Settings
from orch.store.queries import reading, reading_tasks, waiting
from orch.store.queries.reading import RunRow
from orch.store.queries.reading_tasks import TaskInstanceRow


@click.command()
@click.argument("dag_id", metavar="DAG", shell_complete=dag_ids)
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=run_ids)
@json_option
@with_settings()
def status(settings: Settings, dag_id: str, run_id: str | None, *, as_json: bool) -> None:
    """Show the tasks of one run; without RUN of the newest one."""
    output = Output()
    with open_reader(settings) as reader, reader.read() as tx:
        run = reading.find_run(tx, dag_id, run_id)
        spec = reading.spec_of(tx, run.dag_version_id)
        tasks = in_order(reading_tasks.list_task_instances(tx, run.run_pk), spec)
        tasks = waiting.with_reasons(waiting.facts_of(tx, run, spec, tasks))
    if as_json:
        output.json(as_document(run, tasks))
    else:
        output.line(headline(run, system_clock(), output))
        columns = ("task", "map", "state", "try", "started", "took", "reason")
        output.table(columns, [_row(task) for task in tasks])


def as_document(run: RunRow, tasks: Sequence[TaskInstanceRow]) -> dict[str, Any]:
    """Return a run as `--json` prints it."""
    return {
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "run_type": run.run_type,
        "backfill_id": run.backfill_id,
        "state": run.state,
        "reason": run.reason,
        "logical_date": isoformat(run.logical_date),
        "tasks": [
            {
                "task_id": task.task_id,
                "map_index": task.map_index,
                "state": task.state,
                "try_number": task.try_number,
                "reason": task.reason,
                "started_at": isoformat(task.started_at),
                "ended_at": isoformat(task.ended_at),
            }
            for task in tasks
        ],
    }


def in_order(rows: Sequence[TaskInstanceRow], spec: DagSpec) -> list[TaskInstanceRow]:
    """Return the rows so that each stands after its upstreams; those of tasks that are gone come last."""
    position = {task_id: index for index, task_id in enumerate(spec.graph.topological_order())}
    return sorted(
        rows, key=lambda row: (position.get(row.task_id, len(position)), row.task_id, row.map_index)
    )


def headline(run: RunRow, now: datetime, output: Output) -> str:
    """Return one line on a run."""
    parts = [f"{run.dag_id} {run.run_id}", output.styled(run.state, run.state)]
    if run.logical_date:
        parts.append(f"for {cell_text(run.logical_date)}")
    if run.started_at and run.ended_at:
        parts.append(f"took {span_text(run.ended_at - run.started_at)}")
    elif run.started_at:
        parts.append(f"since {span_text(now - run.started_at)}")
    if run.ended_at and run.reason:
        parts.append(f"[{run.reason}]")
    return "  ".join(parts)


def _row(task: TaskInstanceRow) -> tuple[Cell, ...]:
    took = task.ended_at - task.started_at if task.started_at and task.ended_at else None
    index = task.map_index if task.map_index >= 0 else None
    tries = f"{task.try_number}/{task.max_tries}" if task.max_tries > 1 else task.try_number or None
    return task.task_id, index, task.state, tries, task.started_at, took, task.reason
