"""The database itself: bring its schema to another revision."""

from collections.abc import Callable
from dataclasses import dataclass, field

from orch.failpoints import Failpoints
from orch.operations.actor import Actor
from orch.operations.authorise import authorise
from orch.store import migrate
from orch.store.engine import Tx
from orch.store.queries import audit


@dataclass(frozen=True, slots=True)
class Database:
    """Where the database is, and what a new one begins with."""

    url: str
    busy_timeout_seconds: float
    default_pool_slots: int
    failpoints: Failpoints = field(default_factory=Failpoints)


def upgrade(database: Database, actor: Actor) -> bool:
    """Bring the schema to the revision of this code; return whether anything had to be done."""
    authorise(actor, "db.migrate", database.url)
    if migrate.current(database.url) == migrate.HEAD:
        return False  # seen without the lock that a migration takes
    return migrate.upgrade(
        database.url,
        busy_timeout_seconds=database.busy_timeout_seconds,
        default_pool_slots=database.default_pool_slots,
        failpoints=database.failpoints,
        also=_audit(actor, "db.migrate", migrate.HEAD),
    )


def downgrade(database: Database, actor: Actor, revision: str) -> None:
    """Take the schema back to an older revision. `base` removes every table, the audit included."""
    authorise(actor, "db.downgrade", database.url)
    migrate.downgrade(
        database.url,
        revision,
        busy_timeout_seconds=database.busy_timeout_seconds,
        also=_audit(actor, "db.downgrade", revision),
    )


def _audit(actor: Actor, action: str, revision: str) -> Callable[[Tx], None]:
    entry = audit.Entry(actor.name, action, "database", "done", {"revision": revision})
    return lambda tx: audit.record(tx, entry)
