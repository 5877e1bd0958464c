"""`orch show`: a DAG as a drawing, with the states of one run."""

from collections.abc import Iterable, Sequence
from typing import Any

import click

from orch.app.reader import open_reader
from orch.cli.commands.status import headline
from orch.cli.completing import dag_ids, run_ids
from orch.cli.draw import draw_dag, legend
from orch.cli.draw_nodes import SYMBOLS
from orch.cli.output import Output
from orch.cli.prepare import refresh
from orch.cli.site import json_option, with_settings
from orch.clock import system_clock
from orch.domain.dagspec import DagSpec
from orch.errors import Conflict
from orch.settings import Settings
from orch.store.queries import reading, reading_tasks
from orch.store.queries.reading import RunRow
from orch.store.queries.reading_tasks import TaskInstanceRow
from orch.store.reader import ReadTx


@click.command()
@click.argument("dag_id", metavar="DAG", shell_complete=dag_ids)
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=run_ids)
@json_option
@with_settings(dags=True)
def show(settings: Settings, dag_id: str, run_id: str | None, *, as_json: bool) -> None:
    """Draw a DAG with the states of one run.

    Without RUN it is the newest one; a DAG that has not run yet is drawn without states.
    """
    output = Output()
    refresh(settings)
    with open_reader(settings) as reader, reader.read() as tx:
        spec, run, tasks = _look(tx, dag_id, run_id)
    if as_json:
        output.json(as_document(spec, run, tasks))
        return
    if run is not None:
        output.line(headline(run, system_clock(), output))
    for line in drawing(spec, tasks, output):
        output.line(line)


def as_document(spec: DagSpec, run: RunRow | None, tasks: Sequence[TaskInstanceRow]) -> dict[str, Any]:
    """Return the graph as `--json` prints it; without a run its tasks have no states."""
    states = states_by_task(tasks)
    return {
        "dag_id": spec.dag_id,
        "run_id": None if run is None else run.run_id,
        "state": None if run is None else run.state,
        "tasks": [
            {
                "task_id": task_id,
                "operator": spec.by_id[task_id].operator,
                "trigger_rule": spec.by_id[task_id].trigger_rule,
                "upstream": list(spec.by_id[task_id].upstream),
                "state": states.get(task_id),
            }
            for task_id in spec.graph.topological_order()
        ],
    }


def _look(
    tx: ReadTx, dag_id: str, run_id: str | None
) -> tuple[DagSpec, RunRow | None, list[TaskInstanceRow]]:
    if run_id is None and not reading.list_runs(tx, dag_id, limit=1):
        version = reading.find_dag(tx, dag_id).current_version_id
        if version is None:
            raise Conflict(f"DAG {dag_id!r} has no version that could be drawn; see `orch dags errors`")
        return reading.spec_of(tx, version), None, []
    run = reading.find_run(tx, dag_id, run_id)
    spec = reading.spec_of(tx, run.dag_version_id)
    return spec, run, reading_tasks.list_task_instances(tx, run.run_pk)


def drawing(spec: DagSpec, tasks: Sequence[TaskInstanceRow], output: Output) -> list[str]:
    """Return the DAG with the states of its tasks, and what the symbols mean."""
    states = states_by_task(tasks)
    width, unicode = output.width, output.is_unicode
    lines = draw_dag(spec.graph, states or None, width=width, unicode=unicode, style=output.styled)
    if not states:
        return lines
    return [*lines, "", *legend(states.values(), width=width, unicode=unicode, style=output.styled)]


def states_by_task(tasks: Iterable[TaskInstanceRow]) -> dict[str, str]:
    """Return one state per task id; of a mapped task the one that needs a person most."""
    found: dict[str, str] = {}
    for task in tasks:
        known = found.setdefault(task.task_id, task.state)
        found[task.task_id] = min(known, task.state, key=_LOUDEST_FIRST.index)
    return found


_LOUDEST_FIRST = list(SYMBOLS)
