"""`orch trigger`: make a run and leave it to the scheduler."""

from datetime import datetime
from typing import Any

import click

from orch.app.home import is_served
from orch.app.reader import live_roles
from orch.app.services import open_store, services_of, timetables_of
from orch.cli.completing import dag_ids
from orch.cli.edge import DONE, FAILED
from orch.cli.follow import Follower
from orch.cli.inputs import LOGICAL_DATE_HELP, json_object, moment
from orch.cli.output import Output
from orch.cli.prepare import prepare
from orch.cli.site import json_option, with_settings
from orch.domain.states import RunState
from orch.operations.actor import local_actor
from orch.operations.trigger import TriggerRequest, near_dates
from orch.operations.trigger import trigger as trigger_run
from orch.processes import StopSignal
from orch.settings import Settings
from orch.store.engine import Store
from orch.store.queries import reading
from orch.store.queries.run_creation import CreatedRun


@click.command()
@click.argument("dag_id", metavar="DAG", shell_complete=dag_ids)
@click.option("--run-id", metavar="ID", help="Name of the run; without it orch makes one of the time.")
@click.option("--conf", metavar="JSON", callback=json_object, default="{}", help="An object for the tasks.")
@click.option("--logical-date", metavar="ISO", callback=moment, help=LOGICAL_DATE_HELP)
@click.option(
    "--idempotency-key", metavar="KEY", help="The same key again gives the same run instead of a second one."
)
@click.option("--wait", is_flag=True, help="Wait for the end; exit code 1 unless the run succeeds.")
@json_option
@with_settings(dags=True)
def trigger(
    settings: Settings,
    dag_id: str,
    *,
    run_id: str | None,
    conf: dict[str, Any],
    logical_date: datetime | None,
    idempotency_key: str | None,
    wait: bool,
    as_json: bool,
) -> int:
    """Create a run of a DAG and print its run id."""
    output = Output()
    request = TriggerRequest(
        dag_id=dag_id,
        run_id=run_id,
        conf=conf,
        logical_date=logical_date,
        idempotency_key=idempotency_key,
    )
    prepare(settings, dag_id)
    with open_store(settings) as store:
        run = trigger_run(services_of(settings, store), local_actor(), request)
        if as_json:
            output.json({"dag_id": run.dag_id, "run_id": run.run_id, "created": run.created})
        else:
            output.line(run.run_id)
        _note_obstacles(settings, store, run, output)
        return _wait(settings, store, run) if wait else DONE


def _note_obstacles(settings: Settings, store: Store, run: CreatedRun, output: Output) -> None:
    """Say on stderr what keeps the run from starting soon, and when it stands for no date of the schedule."""
    with store.read() as tx:
        dag = reading.find_dag(tx, run.dag_id)
        near = near_dates(tx, run, timetables_of(settings))
    if near:
        output.note(f"its logical date is none of the schedule; near ones are {' and '.join(near)}")
    if dag.is_paused:
        output.note(f"DAG {run.dag_id!r} is paused; the run waits for `orch unpause {run.dag_id}`")
    elif not is_served(settings) and "scheduler" not in live_roles(store):
        output.note("no scheduler is running; the run waits for `orch up`")


def _wait(settings: Settings, store: Store, run: CreatedRun) -> int:
    with StopSignal() as stop:
        last = Follower(store, settings.database.url, run.run_pk).follow(stop, show=lambda _: None)
    if last is None:
        raise KeyboardInterrupt
    return DONE if last.run.state == RunState.SUCCESS else FAILED
