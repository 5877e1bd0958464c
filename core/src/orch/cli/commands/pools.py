"""`orch pools`: list, set and delete the named budgets of slots that tasks share."""

from typing import Any

import click

from orch.app.reader import open_reader
from orch.app.services import make_home, open_store, services_of
from orch.cli.output import Output, counted
from orch.cli.site import json_option, with_settings
from orch.clock import isoformat
from orch.operations import pools as operations
from orch.operations.actor import local_actor
from orch.settings import Settings
from orch.store.queries.pools import PoolRow, list_pools


@click.group()
def pools() -> None:
    """Show and change the pools."""


@pools.command("list")
@json_option
@with_settings()
def list_(settings: Settings, *, as_json: bool) -> None:
    """List the pools with what is taken of them now."""
    with open_reader(settings) as reader, reader.read() as tx:
        rows = list_pools(tx)
    output = Output()
    if as_json:
        output.json([as_document(row) for row in rows])
    else:
        columns = ("pool", "slots", "running", "queued", "free", "waiting", "description")
        output.table(columns, [_cells(row) for row in rows])


@pools.command("set")
@click.argument("name")
@click.argument("slots", type=int)
@click.option("--description", help="What the pool is for.")
@json_option
@with_settings()
def set_(settings: Settings, name: str, slots: int, *, description: str | None, as_json: bool) -> None:
    """Create a pool or change its size; -1 means no limit (write `-- -1`)."""
    make_home(settings, local_actor())
    with open_store(settings) as store:
        row = operations.set_pool(services_of(settings, store), local_actor(), name, slots, description)
    _tell(row, f"pool {name} has {'no limit' if slots < 0 else counted(slots, 'slot')}", as_json=as_json)


@pools.command("delete")
@click.argument("name")
@json_option
@with_settings()
def delete_(settings: Settings, name: str, *, as_json: bool) -> None:
    """Delete a pool that nobody holds slots of."""
    with open_store(settings) as store:
        row = operations.delete_pool(services_of(settings, store), local_actor(), name)
    _tell(row, f"pool {name} is deleted", as_json=as_json)


def as_document(row: PoolRow) -> dict[str, Any]:
    """Return a pool as `--json` prints it."""
    return {
        "pool": row.name,
        "slots": row.slots,
        "running": row.running,
        "queued": row.queued,
        "free": row.free,
        "waiting": row.waiting,
        "saturated_since": isoformat(row.saturated_since),
        "description": row.description,
    }


def _cells(row: PoolRow) -> tuple[str | int | None, ...]:
    slots = "no limit" if row.slots < 0 else row.slots
    return row.name, slots, row.running, row.queued, row.free, row.waiting, row.description


def _tell(row: PoolRow, sentence: str, *, as_json: bool) -> None:
    output = Output()
    if as_json:
        output.json(as_document(row))
    else:
        output.line(sentence)
