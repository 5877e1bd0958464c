"""The simple migrator: brings the schema to the version of this code, in one transaction, safe to run at once twice."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from orch.clock import system_clock
from orch.errors import BadInput, SchemaMismatch, StoreError
from orch.failpoints import Failpoints
from orch.store.engine import Tx, make_engine, transaction, translate
from orch.store.queries import limits
from orch.store.queries.limit_sizes import pool_exists
from orch.store.reader import file_in

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0002"
"""The newest revision; a test compares it with the files."""

_FOLDER = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of the schema."""

    name: str
    title: str
    is_applied: bool


def upgrade(
    url: str,
    *,
    busy_timeout_seconds: float = 30.0,
    default_pool_slots: int = 128,
    failpoints: Failpoints | None = None,
    also: Callable[[Tx], None] | None = None,
) -> bool:
    """Bring the database to HEAD; return whether anything had to be done.

    Everything, what `also` writes included, happens in one transaction that locks the database: of two
    migrators one works and the other finds it done; one that is killed leaves nothing behind.
    """
    _make_file(url)
    points = failpoints or Failpoints()
    points.hit("migrate.begin")
    with _locked(url, busy_timeout_seconds) as tx:
        found = _current(tx.conn)
        if found == HEAD:
            return False
        _refuse_unknown(found)
        _alembic(tx.conn, "upgrade", "head")
        if not pool_exists(tx, limits.DEFAULT_POOL):
            limits.set_size(tx, "pool", limits.DEFAULT_POOL, default_pool_slots)
        if also is not None:
            also(tx)
        points.hit("migrate.before_commit")
    points.hit("migrate.after_commit")
    return True


def downgrade(
    url: str,
    revision: str,
    *,
    busy_timeout_seconds: float = 30.0,
    also: Callable[[Tx], None] | None = None,
) -> None:
    """Take the schema back to `revision`; `base` removes every table and all that is in them.

    `also` writes in the same transaction; after `base` there is nothing left to write to.
    """
    known = _scripts()
    if revision != "base" and revision not in known:
        raise BadInput(f"unknown revision {revision!r}; known: base, {', '.join(known)}")
    with _locked(url, busy_timeout_seconds) as tx:
        _refuse_unknown(_current(tx.conn))
        _alembic(tx.conn, "downgrade", revision)
        if also is not None and revision != "base":
            also(tx)


def current(url: str) -> str | None:
    """Return the revision of the database, None when it has no schema or no file yet."""
    path = file_in(url)
    if path is not None and not path.exists():
        return None
    engine = make_engine(url, 5.0)
    try:
        with engine.connect() as connection:
            return _current(connection)
    except sa.exc.DBAPIError as error:
        raise translate(error) from error
    finally:
        engine.dispose()


def check(url: str) -> None:
    """Raise SchemaMismatch unless the database has exactly the schema of this code."""
    found = current(url)
    if found is None:
        raise SchemaMismatch("the database has no orch schema; run `orch db migrate`")
    _refuse_unknown(found)
    if found != HEAD:
        raise SchemaMismatch(
            f"the database is at revision {found}, this code needs {HEAD}; run `orch db migrate`"
        )


def history(url: str) -> list[Revision]:
    """Return all revisions this code knows, oldest first."""
    found = current(url)
    names = list(_scripts())
    applied = names[: names.index(found) + 1] if found in names else []
    return [Revision(name, title, name in applied) for name, title in _scripts().items()]


def _make_file(url: str) -> None:
    """Make the folder and an empty database that only its owner may read; its side files get the same mode."""
    path = file_in(url)
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(
            f"the database {str(path)!r} cannot be made: {error.strerror};"
            " choose a home that this user may write with --home"
        ) from error


@contextmanager
def _locked(url: str, busy_timeout_seconds: float) -> Iterator[Tx]:
    """Open a transaction that locks the database; commit at the end, roll back on an error."""
    engine = make_engine(url, busy_timeout_seconds)
    try:
        with engine.connect() as connection, transaction(connection, write=True, clock=system_clock) as tx:
            yield tx
    except sa.exc.DBAPIError as error:
        raise translate(error) from error
    finally:
        engine.dispose()


def _current(connection: sa.Connection) -> str | None:
    found = connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").first()
    if found is None:
        return None
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return None if row is None else str(row[0])


def _refuse_unknown(found: str | None) -> None:
    if found is not None and found not in _scripts():
        raise SchemaMismatch(
            f"the database is at revision {found}, which is newer than this code ({HEAD}); upgrade orch"
        )


def _scripts() -> dict[str, str]:
    """Return revision -> title, oldest first; the number is in the file name, so alembic need not be imported."""
    files = sorted((_FOLDER / "versions").glob("[0-9]*.py"))
    return {file.stem.split("_", 1)[0]: file.stem.split("_", 1)[1].replace("_", " ") for file in files}


def _alembic(connection: sa.Connection, action: str, revision: str) -> None:
    # alembic takes half a second to import and is needed only when there is something to do
    from alembic import command

    config = _config(connection)
    {"upgrade": command.upgrade, "downgrade": command.downgrade}[action](config, revision)


def _config(connection: sa.Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
