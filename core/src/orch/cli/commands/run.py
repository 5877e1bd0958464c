"""`orch run`: one DAG, now, to its end."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any

import click

from orch.app.components import checked_plugins, engine, grace_seconds
from orch.app.home import component_log, is_served
from orch.app.reader import reader_of
from orch.app.services import open_store, services_of
from orch.cli.completing import dag_ids
from orch.cli.edge import DONE, FAILED, INTERRUPTED, exit_code_of
from orch.cli.follow import Follower
from orch.cli.inputs import LOGICAL_DATE_HELP, json_object, moment
from orch.cli.news import EVERYTHING, News, stopping_text
from orch.cli.output import Output
from orch.cli.prepare import prepare
from orch.cli.results import print_end
from orch.cli.run_view import RunView, run_view
from orch.cli.site import with_settings
from orch.domain.states import RunState
from orch.errors import BadInput
from orch.operations.actor import local_actor
from orch.operations.trigger import TriggerRequest, trigger
from orch.plugins import Plugins
from orch.processes import Component, StopSignal, Supervisor
from orch.settings import Settings
from orch.store.engine import Store
from orch.store.queries import reading
from orch.store.queries.run_creation import CreatedRun

FOLLOWER = "run"
SERVER_IS_GONE = 75
MOST_DRAIN_SECONDS = 3.0
"""After Ctrl-C a person waits: longer tasks are handed back and run again later."""


@click.command()
@click.argument("dag_id", metavar="DAG", shell_complete=dag_ids)
@click.option("--conf", metavar="JSON", callback=json_object, default="{}", help="An object for the tasks.")
@click.option("--run-id", metavar="ID", help="Name of the run; without it orch makes one of the time.")
@click.option("--logical-date", metavar="ISO", callback=moment, help=LOGICAL_DATE_HELP)
@with_settings(dags=True)
def run(
    settings: Settings,
    dag_id: str,
    *,
    conf: dict[str, Any],
    run_id: str | None,
    logical_date: datetime | None,
) -> int:
    """Run one DAG to its end and print its results.

    Exit code 0 only when the run succeeds. When `orch up` serves this home the run is executed there;
    otherwise this command brings a scheduler and a worker of its own, for this run only.
    """
    request = TriggerRequest(dag_id=dag_id, run_id=run_id, conf=conf, logical_date=logical_date)
    prepare(settings, dag_id)
    plugins = checked_plugins(settings)
    with StopSignal() as stop:
        with open_store(settings) as store:
            created = _create(settings, store, request)
        if stop.is_set:
            raise KeyboardInterrupt
        code = SERVER_IS_GONE
        while code == SERVER_IS_GONE:
            if is_served(settings):
                code = _follow(settings, created, stop, is_lost=lambda: not is_served(settings))
            else:
                code = _run_here(settings, plugins, created, stop)
        return code


def _create(settings: Settings, store: Store, request: TriggerRequest) -> CreatedRun:
    with store.read() as tx:
        dag = reading.find_dag(tx, request.dag_id)
    if dag.is_paused:
        raise BadInput(
            f"DAG {request.dag_id!r} is paused, so nothing of it would run; unpause it with"
            f" `orch unpause {request.dag_id}`"
        )
    return trigger(services_of(settings, store), local_actor(), request)


def _run_here(settings: Settings, plugins: Plugins, created: CreatedRun, stop: StopSignal) -> int:
    """Bring a scheduler and a worker for this run; they end with it."""
    drain = min(settings.worker.drain_seconds, MOST_DRAIN_SECONDS)
    settings = replace(settings, worker=replace(settings.worker, drain_seconds=drain))
    with News(hidden=(FOLLOWER,)) as news:

        def follow(stop: StopSignal) -> int:
            home = settings.core.home
            return exit_code_of(lambda: _follow(settings, created, stop, news=news), lambda: home, ["run"])

        follower = Component(FOLLOWER, follow, ends_all=True, outlives=True)
        components = [*engine(settings, plugins, created.run_pk), follower]
        supervisor = Supervisor(
            components,
            grace_seconds=grace_seconds(settings),
            on_event=news.tell,
            on_stop=news.tell_stopping,
        )
        return supervisor.run(stop)


def _follow(
    settings: Settings,
    created: CreatedRun,
    stop: StopSignal,
    *,
    news: News | None = None,
    is_lost: Callable[[], bool] = lambda: False,
) -> int:
    """Show the run until its end and return the exit code."""
    output = Output()
    with closing(reader_of(settings)) as reader:
        with run_view(output) as view:

            def listen() -> None:
                _tell_trouble(settings, news, view)

            follower = Follower(reader, settings.database.url, created.run_pk)
            last = follower.follow(stop, view.show, is_lost, listen)
        if last is not None:
            print_end(settings, reader, last, output)
            return DONE if last.run.state == RunState.SUCCESS else FAILED
    if not stop.is_set:
        output.line("`orch up` has ended; this command goes on with a scheduler and a worker of its own")
        return SERVER_IS_GONE
    where = "in `orch up`" if news is None else "with the next `orch up`"
    output.line(f"stopped; run {created.run_id} of {created.dag_id} goes on {where}")
    return INTERRUPTED


def _tell_trouble(settings: Settings, news: News | None, view: RunView) -> None:
    for state in news.listen() if news else ():
        if state.kind == "restarting":
            log = component_log(settings, state.name)
            view.say(f"{state.name} ended: {state.exit}; it is started again (see {log})")
        elif state.name == EVERYTHING:
            view.say(stopping_text(settings.worker.drain_seconds))
