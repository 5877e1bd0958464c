"""The reader: read transactions without SQLAlchemy, whose import alone takes longer than most looks.

On SQLite it uses the driver directly; any other database is read through the `Store`.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote

from orch.clock import Clock, system_clock, to_micros
from orch.errors import StoreError

_SQLITE_FILE = re.compile(r"sqlite(?:\+\w+)?:///([^?]+)")


class ReadTx(Protocol):
    """One consistent state of the database. `Tx` of the store is one too."""

    @property
    def now(self) -> int:
        """Microseconds by the database's clock."""

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one query and return all of its rows."""


class Reader(Protocol):
    """Opens read transactions. A `Store` is one too."""

    def read(self) -> AbstractContextManager[ReadTx]:
        """Open a read transaction."""

    def close(self) -> None:
        """Close the connection."""


def new_reader(url: str, busy_timeout_seconds: float = 30.0) -> Reader:
    """Return a reader for the database; nothing is connected before the first transaction."""
    path = sqlite_path(url)
    if path is not None:
        return SqliteReader(path, busy_timeout_seconds)
    from orch.store.engine import Store  # late: it imports SQLAlchemy, which SQLite can do without here

    return Store.open(url, busy_timeout_seconds=busy_timeout_seconds)


def sqlite_path(url: str) -> Path | None:
    """Return the file of a plain SQLite URL, None for any other one."""
    return None if "?" in url else file_in(url)


def file_in(url: str) -> Path | None:
    """Return the file that an SQLite URL names, its percent escapes resolved; None when it names no file."""
    # Not left to SQLAlchemy: reader and store must agree, and its releases differ about the escapes of a path.
    found = _SQLITE_FILE.match(url)
    return None if found is None or found[1] == ":memory:" else Path(unquote(found[1]))


def check_schema(reader: Reader, url: str) -> None:
    """Raise SchemaMismatch unless the database has exactly the schema of this code."""
    with reader.read() as tx:
        has_schema = tx.rows("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")
        found = tx.rows("SELECT version_num FROM alembic_version") if has_schema else []
    if found != [(newest_revision(),)]:
        from orch.store import migrate  # late, as above; it knows which side is newer, and says so

        migrate.check(url)


@dataclass(frozen=True, slots=True)
class SqliteTx:
    """One read transaction on SQLite."""

    connection: sqlite3.Connection
    now: int

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one query and return all of its rows."""
        return self.connection.execute(sql, parameters).fetchall()


class SqliteReader:
    """Reads an SQLite file that is there; it keeps one connection, which must never cross a fork."""

    def __init__(self, path: Path, busy_timeout_seconds: float = 30.0, clock: Clock = system_clock) -> None:
        self._path = path
        self._timeout = busy_timeout_seconds
        self._clock = clock
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def read(self) -> Iterator[SqliteTx]:
        """Open a read transaction: one consistent state of the database, no lock."""
        try:
            connection = self._connected()
            connection.execute("BEGIN")
            try:
                yield SqliteTx(connection, to_micros(self._clock()))
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self.close()
            raise StoreError(f"the database {self._path} cannot be read: {error}") from error

    def close(self) -> None:
        """Close the connection; the reader may be used again and then opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            # rw, not ro: a reader of a database in WAL mode may have to make its index file. It never creates one.
            uri = f"file:{quote(str(self._path))}?mode=rw"
            self._connection = sqlite3.connect(uri, uri=True, timeout=self._timeout, isolation_level=None)
            self._connection.execute("PRAGMA query_only = ON")
        return self._connection


def marks(values: Sequence[object]) -> str:
    """Return the placeholders of an SQL list of these values."""
    return ", ".join("?" * len(values))


def newest_revision() -> str:
    """Return the revision that this code needs, from the names of the migrations."""
    files = (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*.py")
    return max(file.stem.split("_", 1)[0] for file in files)
