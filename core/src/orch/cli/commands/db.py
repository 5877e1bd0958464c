"""`orch db`: the schema and the truth of the database."""

import click

from orch.app.services import database_of, make_home, open_store
from orch.cli.edge import DONE, FAILED
from orch.cli.output import Output
from orch.cli.site import json_option, with_settings
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
    migrations.check(settings.database.url)
    Output().line(f"the database fits: revision {migrations.HEAD}")


@db.command()
@click.argument("revision")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_settings()
def downgrade(settings: Settings, revision: str, *, yes: bool) -> None:
    """Take the database back to REVISION; `base` removes all tables and their data."""
    if not yes:
        click.confirm(
            f"Take {settings.database.url} back to {revision} and lose what newer tables hold?", abort=True
        )
    operations.downgrade(database_of(settings), local_actor(), revision)
    Output().line(f"the database is at revision {revision}")


@db.command()
@json_option
@with_settings()
def history(settings: Settings, *, as_json: bool) -> None:
    """List the revisions of the schema, oldest first."""
    output = Output()
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
    with open_store(settings) as store:
        findings = find_violations(store)
    if as_json:
        output.json([{"invariant": f.invariant, "message": f.message, "ids": list(f.ids)} for f in findings])
    elif findings:
        output.table(("invariant", "finding"), [(f.invariant, f.message) for f in findings])
    else:
        output.line("all invariants hold")
    return FAILED if findings else DONE
