"""What a shell offers after a Tab: DAGs, runs and tasks of this home. It never fails and never writes."""

from collections.abc import Callable
from contextlib import closing

import click

from orch.app.reader import reader_of
from orch.cli.site import Site
from orch.errors import OrchError
from orch.store.queries import reading, reading_tasks
from orch.store.reader import ReadTx

MOST = 200


def dag_ids(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the DAGs whose names begin like this."""
    return _matching(ctx, incomplete, lambda tx: [row.dag_id for row in reading.list_dags(tx)])


def run_ids(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the newest runs of the DAG that stands before."""
    dag_id = ctx.params.get("dag_id") or ""
    return _matching(ctx, incomplete, lambda tx: [row.run_id for row in reading.list_runs(tx, dag_id, MOST)])


def task_ids(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the tasks of the DAG that stands before."""

    def names(tx: ReadTx) -> list[str]:
        run = reading.find_run(tx, ctx.params.get("dag_id") or "", ctx.params.get("run_id"))
        return list({row.task_id: None for row in reading_tasks.list_task_instances(tx, run.run_pk)})

    return _matching(ctx, incomplete, names)


def _matching(ctx: click.Context, incomplete: str, names: Callable[[ReadTx], list[str]]) -> list[str]:
    site = Site.of(ctx)
    site.home = ctx.params.get("home") or site.home
    try:
        with closing(reader_of(site.settings())) as reader, reader.read() as tx:
            return [name for name in names(tx) if name.startswith(incomplete)][:MOST]
    except OrchError:
        return []
