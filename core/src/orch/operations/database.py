"""The database itself: bring its schema to another revision."""

from contextlib import closing
from dataclasses import dataclass

from orch.operations.actor import Actor
from orch.operations.authorise import authorise
from orch.store import migrate
from orch.store.engine import Store
from orch.store.queries import audit


@dataclass(frozen=True, slots=True)
class Database:
    """Where the database is, and what a new one begins with."""

    url: str
    busy_timeout_seconds: float
    default_pool_slots: int


def upgrade(database: Database, actor: Actor) -> bool:
    """Bring the schema to the revision of this code; return whether anything had to be done."""
    authorise(actor, "db.migrate", database.url)
    if migrate.current(database.url) == migrate.HEAD:
        return False  # seen without the lock that a migration takes
    changed = migrate.upgrade(
        database.url,
        busy_timeout_seconds=database.busy_timeout_seconds,
        default_pool_slots=database.default_pool_slots,
    )
    if changed:
        _audit(database, actor, "db.migrate", migrate.HEAD)
    return changed


def downgrade(database: Database, actor: Actor, revision: str) -> None:
    """Take the schema back to an older revision. `base` removes every table, the audit included."""
    authorise(actor, "db.downgrade", database.url)
    migrate.downgrade(database.url, revision, busy_timeout_seconds=database.busy_timeout_seconds)
    if revision != "base":
        _audit(database, actor, "db.downgrade", revision)


def _audit(database: Database, actor: Actor, action: str, revision: str) -> None:
    entry = audit.Entry(actor.name, action, "database", "done", {"revision": revision})
    with closing(Store.open(database.url, busy_timeout_seconds=database.busy_timeout_seconds)) as store:
        store.transact("audit", lambda tx: audit.record(tx, entry))
