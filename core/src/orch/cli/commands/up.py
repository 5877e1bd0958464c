"""`orch up`: everything that a home needs, as one process tree."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import click

from orch.app.components import checked_plugins, dag_processor, engine, grace_seconds
from orch.app.home import make_folders, up_lock
from orch.app.reader import open_reader
from orch.app.services import database_of
from orch.cli.edge import exit_code_of, hold_back_stops
from orch.cli.news import News
from orch.cli.output import Output
from orch.cli.site import with_settings
from orch.cli.up_view import UpWatch
from orch.errors import BadInput, Conflict
from orch.operations import database
from orch.operations.actor import local_actor
from orch.processes import Component, LockFile, StopSignal, Supervisor
from orch.settings import Settings
from orch.store.queries import watching

VIEW = "view"


@click.command()
@with_settings(dags=True)
def up(settings: Settings) -> int:
    """Start DAG processor, scheduler and local worker, and show what runs.

    Ctrl-C or SIGTERM ends everything: running tasks get `worker.drain_seconds` to finish, a second Ctrl-C
    hands them back at once. What was not finished goes on with the next `orch up`.
    """
    output = Output()
    with StopSignal() as stop:
        make_folders(settings)
        with _only_one(settings), News(hidden=(VIEW,)) as news:
            _need_dags_folder(settings, output)
            plugins = checked_plugins(settings)
            database.upgrade(database_of(settings), local_actor())
            output.line(
                f"orch up: home {settings.core.home}, dags {settings.core.dags_folder}, pid {os.getpid()}"
            )
            view = _view(settings, news, _last_run_event(settings))
            components = [dag_processor(settings, plugins), *engine(settings, plugins), view]
            supervisor = Supervisor(
                components,
                grace_seconds=grace_seconds(settings),
                on_event=news.tell,
                on_stop=news.tell_stopping,
            )
            code = supervisor.run(stop)
            hold_back_stops()
        output.line("stopped")
    return code


@contextlib.contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    path = up_lock(settings)
    try:
        lock = LockFile.acquire(path)
    except Conflict:
        raise Conflict(f"orch up already runs for this home{_pid_in(path)}: {settings.core.home}") from None
    with lock:
        yield


def _pid_in(path: Path) -> str:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return f" (pid {text})" if text.isdigit() else ""


def _need_dags_folder(settings: Settings, output: Output) -> None:
    """The default folder is made, so that `orch up` works in an empty folder; a named one must be there."""
    folder = settings.core.dags_folder
    if folder.is_dir():
        return
    if settings.sources["core.dags_folder"] != "default":
        raise BadInput(
            f"dags folder {str(folder)!r} does not exist; make it, or name another one with --dags DIR"
        )
    folder.mkdir(parents=True)
    output.line(f"made {folder}: put DAG files there")


def _last_run_event(settings: Settings) -> int:
    with open_reader(settings) as reader, reader.read() as tx:
        return watching.last_run_event(tx)


def _view(settings: Settings, news: News, after: int) -> Component:
    """The view ends last, so that it can tell how the others ended; it begins with the run events `after`."""

    def run(stop: StopSignal) -> int:
        def watch() -> None:
            with contextlib.suppress(BrokenPipeError):
                UpWatch(settings, news, after).run(stop)
            stop.wait()  # nobody reads any more, but everything else goes on

        return exit_code_of(watch, lambda: settings.core.home, ["up"])

    return Component(VIEW, run, outlives=True)
