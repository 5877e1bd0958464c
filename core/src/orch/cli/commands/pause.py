"""`orch pause`: let a DAG start nothing new."""

import click

from orch.app.services import open_store, services_of
from orch.cli.completing import dag_ids
from orch.cli.output import Output
from orch.cli.prepare import prepare
from orch.cli.site import json_option, with_settings
from orch.operations import pause as pausing
from orch.operations.actor import local_actor
from orch.settings import Settings


@click.command()
@click.argument("dag_id", metavar="DAG", shell_complete=dag_ids)
@json_option
@with_settings(dags=True)
def pause(settings: Settings, dag_id: str, *, as_json: bool) -> None:
    """Let a DAG start nothing new; what runs goes on.

    Until it is unpaused no scheduled run of it is made and none of its tasks is queued.
    """
    prepare(settings, dag_id)
    with open_store(settings) as store:
        result = pausing.pause(services_of(settings, store), local_actor(), dag_id)
    output = Output()
    if as_json:
        output.json({"dag_id": dag_id, "is_paused": True, "changed": result.changed})
    else:
        output.line(f"{dag_id} is paused" if result.changed else f"{dag_id} was paused already")
