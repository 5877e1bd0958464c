"""`orch db`: the schema and the truth of the database."""

from contextlib import closing
from pathlib import Path

import click

from orch.app.home import is_served, up_lock
from orch.app.reader import live_processes, reader_of, require_database
from orch.app.services import database_of, make_home, open_store, timetables_of
from orch.cli.edge import DONE, FAILED
from orch.cli.output import Output
from orch.cli.site import json_option, with_settings
from orch.errors import BadInput, Conflict
from orch.operations import database as operations
from orch.operations.actor import local_actor
from orch.settings import Settings
from orch.store import migrate as migrations
from orch.store.verify import verify as find_violations


@click.group()
def db() -> None:
    """Migrate and verify the database."""


@db.command()
@with_settings()
def migrate(settings: Settings) -> None:
    """Bring the database to this release; make it when there is none."""
    changed = make_home(settings, local_actor())
    state = (
        f"migrated to revision {migrations.HEAD}" if changed else f"is at revision {migrations.HEAD} already"
    )
    Output().line(f"the database in {settings.core.home} {state}")


@db.command()
@with_settings()
def check(settings: Settings) -> None:
    """Say whether the database fits this release; exit code 2 when not."""
    require_database(settings)
    migrations.check(settings.database.url)
    Output().line(f"the database fits: revision {migrations.HEAD}")


@db.command()
@click.argument("revision")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_settings()
def downgrade(settings: Settings, revision: str, *, yes: bool) -> None:
    """Take the database back to REVISION; `base` removes all tables and their data."""
    require_database(settings)
    known = ["base", *(found.name for found in migrations.history(settings.database.url))]
    if revision not in known:
        raise BadInput(f"unknown revision {revision!r}; known: {', '.join(known)}")
    _refuse_in_use(settings)
    if not yes:
        click.confirm(
            f"Take {settings.database.url} back to {revision} and lose what newer tables hold?", abort=True
        )
        _refuse_in_use(settings)  # a person may have taken any time to answer
    operations.downgrade(database_of(settings), local_actor(), revision)
    Output().line(f"the database is at revision {revision}")


@db.command()
@json_option
@with_settings()
def history(settings: Settings, *, as_json: bool) -> None:
    """List the revisions of the schema, oldest first."""
    output = Output()
    require_database(settings)
    revisions = migrations.history(settings.database.url)
    if as_json:
        output.json([{"revision": r.name, "title": r.title, "is_applied": r.is_applied} for r in revisions])
    else:
        output.table(("revision", "title", "applied"), [(r.name, r.title, r.is_applied) for r in revisions])


@db.command()
@json_option
@with_settings()
def verify(settings: Settings, *, as_json: bool) -> int:
    """Check the invariants of everything stored; exit code 1 when one is broken."""
    output = Output()
    require_database(settings)
    with open_store(settings) as store:
        findings = find_violations(store, timetable_of=timetables_of(settings))
    if as_json:
        output.json([{"invariant": f.invariant, "message": f.message, "ids": list(f.ids)} for f in findings])
    elif findings:
        output.table(("invariant", "finding"), [(f.invariant, f.message) for f in findings])
    else:
        output.line("all invariants hold")
    return FAILED if findings else DONE


def _refuse_in_use(settings: Settings) -> None:
    """Raise Conflict while `orch up`, `orch run` or a component of theirs works with the database."""
    if is_served(settings):
        raise Conflict(
            f"`orch up`{_pid_in(up_lock(settings))} works with {settings.core.home}; stop it first"
        )
    if migrations.current(settings.database.url) != migrations.HEAD:
        return  # no process of this code works with another schema
    with closing(reader_of(settings)) as reader:
        alive = live_processes(reader)
    if alive:
        names = ", ".join(f"{sign.role} (pid {sign.pid} on {sign.host})" for sign in alive)
        raise Conflict(f"{names} work with {settings.core.home}; stop `orch run` or `orch up` first")


def _pid_in(path: Path) -> str:
    try:
        return f" (pid {path.read_text(encoding='ascii').strip()})"
    except OSError:
        return ""  # it has ended just now
