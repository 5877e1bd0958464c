"""The store: one database, its transactions, and their translation of driver errors into words."""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import NullPool

from orch.clock import Clock, system_clock, to_micros
from orch.errors import ConfigurationError, StoreError
from orch.failpoints import TRANSACTIONS, Failpoints
from orch.store.reader import file_in

T = TypeVar("T")


class StoreBusy(StoreError):
    """Another process held the database for longer than database.busy_timeout_seconds; try again."""


class StoreFull(StoreError):
    """The disk of the database is full; free some room, orch goes on by itself."""


class StoreReadOnly(StoreError):
    """The database or its folder cannot be written; give this user the right to write it."""


class StoreUnavailable(StoreError):
    """The database cannot be reached or read."""


class StoreRefused(StoreError):
    """The database refused a value or a row: the fault of the statement, while the database is well."""


TRANSIENT = (StoreBusy, StoreUnavailable, StoreFull)
"""Errors after which the same transaction may be tried again."""


@dataclass(frozen=True, slots=True)
class Tx:
    """One open transaction: its connection, and its time in microseconds by the database's clock.

    Statements that a control loop runs for every task go to the driver: built by SQLAlchemy they cost several
    times what the database itself takes for them.
    """

    conn: sa.Connection
    driver: sqlite3.Connection
    now: int

    def many(self, sql: str, rows: list[tuple[Any, ...]]) -> int:
        """Run one driver-level statement for each row; return how many rows it changed in all."""
        return self.driver.executemany(sql, rows).rowcount

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one driver-level query and return all of its rows."""
        return self.driver.execute(sql, parameters).fetchall()

    def mark(self) -> object:
        """Return a mark of what this transaction sees; a later one that is equal sees the same.

        The driver is part of it: the other two count from the opening of a connection, what others have committed
        and what it has changed itself.
        """
        ((others,),) = self.rows("PRAGMA data_version")
        return self.driver, others, self.driver.total_changes

    def execute(self, sql: str) -> None:
        """Run one driver-level statement without parameters."""
        self.driver.execute(sql)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what the block wrote when it raises; the transaction itself goes on."""
        self.driver.execute("SAVEPOINT part")
        try:
            yield
        except BaseException as error:
            if self.driver.in_transaction:  # a full disk ends the transaction by itself
                self.driver.execute("ROLLBACK TO part")
                self.driver.execute("RELEASE part")
            if isinstance(error, sqlite3.Error):
                raise translate(error) from error
            raise
        self.driver.execute("RELEASE part")


@contextmanager
def transaction(conn: sa.Connection, *, write: bool, clock: Clock) -> Iterator[Tx]:
    """Open a transaction on a connection; commit when the block ends, roll back when it raises."""
    driver = conn.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise StoreUnavailable
    driver.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        yield Tx(conn, driver, to_micros(clock()))
        driver.execute("COMMIT")
    except BaseException:
        if driver.in_transaction:
            driver.execute("ROLLBACK")
        raise
    finally:
        if conn.in_transaction():
            conn.rollback()  # SQLAlchemy's own notion of a transaction; the database has none any more


class Store:
    """One process's way to the database. It keeps one connection, which must never cross a fork."""

    def __init__(self, engine: sa.Engine, failpoints: Failpoints, clock: Clock) -> None:
        self.engine = engine
        self.failpoints = failpoints
        self.clock = clock
        self._held: sa.Connection | None = None

    @classmethod
    def open(
        cls,
        url: str,
        *,
        busy_timeout_seconds: float = 30.0,
        failpoints: Failpoints | None = None,
        clock: Clock = system_clock,
    ) -> "Store":
        """Return a store for `url`; nothing is connected before the first transaction."""
        return cls(make_engine(url, busy_timeout_seconds), failpoints or Failpoints(), clock)

    @contextmanager
    def write(self, name: str) -> Iterator[Tx]:
        """Open a write transaction: it commits when the block ends and rolls back when the block raises.

        `name` gives its failpoints `NAME.begin`, `NAME.before_commit`, `NAME.after_commit`.
        """
        if name not in TRANSACTIONS:
            raise ValueError(f"write transaction {name!r} is not in failpoints.TRANSACTIONS; add it there")
        self.failpoints.hit(f"{name}.begin")
        with self._transaction(write=True) as tx:
            yield tx
            self.failpoints.hit(f"{name}.before_commit")
        self.failpoints.hit(f"{name}.after_commit")

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """Open a read transaction: one consistent state of the database, no lock."""
        with self._transaction(write=False) as tx:
            yield tx

    def transact(self, name: str, work: Callable[[Tx], T], *, attempts: int = 5) -> T:
        """Run `work` in a write transaction, the whole of it again after a transient error."""
        for attempt in range(1, attempts + 1):
            try:
                with self.write(name) as tx:
                    return work(tx)
            except TRANSIENT:
                if attempt == attempts:
                    raise
                time.sleep(random.uniform(0.01, 0.05) * 2**attempt)  # noqa: S311 - spreads the retries
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connection; the store may be used again and then opens a new one."""
        if self._held is not None:
            with suppress(sa.exc.DBAPIError):
                self._held.close()
            self._held = None
        self.engine.dispose()

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[Tx]:
        try:
            if self._held is None:
                self._held = self.engine.connect()
            with transaction(self._held, write=write, clock=self.clock) as tx:
                yield tx
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            self._drop()
            raise translate(error) from error

    def _drop(self) -> None:
        if self._held is not None:
            with suppress(sa.exc.DBAPIError, sqlite3.Error):
                self._held.invalidate()
                self._held.close()
            self._held = None


def make_engine(url: str, busy_timeout_seconds: float) -> sa.Engine:
    """Return an engine whose connections keep orch's promises of durability; refuse other databases by name."""
    parsed = sa.engine.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        raise ConfigurationError(
            f"database.url: {parsed.get_backend_name()!r} comes in a later release of orch; use sqlite:///PATH"
        )
    path = file_in(url)
    if path is None:
        raise ConfigurationError(
            "database.url: several processes share the database; name a file, sqlite:///PATH"
        )
    engine = sa.create_engine(
        parsed.set(database=str(path)),
        poolclass=NullPool,
        # autocommit at the driver: orch says BEGIN IMMEDIATE itself, since a deferred BEGIN that turns into a
        # write fails at once with SQLITE_BUSY whatever the timeout
        connect_args={"timeout": busy_timeout_seconds, "isolation_level": None},
        isolation_level="AUTOCOMMIT",
    )
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")


_ABOUT_A_VALUE = (sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError)
"""Errors of binding: the same statement fails for ever with that value, while the database is well."""


def translate(error: Exception) -> StoreError:
    """Return an error of the driver, or of SQLAlchemy around it, in orch's words."""
    if isinstance(error, sa.exc.DBAPIError) and isinstance(error.orig, Exception):
        error = error.orig
    text = str(error)
    if isinstance(error, _ABOUT_A_VALUE) and "closed" not in text:
        return StoreRefused(f"the database refused a value: {text}")
    if "locked" in text or "busy" in text:
        return StoreBusy()
    if "full" in text:
        return StoreFull()
    if "disk I/O" in text:
        return StoreFull(
            f"the disk of the database cannot be written ({text}); is it full? orch goes on by itself"
        )
    if "readonly" in text or "read-only" in text:
        return StoreReadOnly()
    if isinstance(error, sqlite3.IntegrityError):
        return StoreRefused(f"the database refused a row: {text}")
    if "no such table" in text:
        return StoreError(f"the database has no orch schema ({text}); run `orch db migrate`")
    if "unable to open" in text:
        return StoreUnavailable(
            f"the database file cannot be opened ({text}); is its folder there and writable?"
        )
    return StoreUnavailable(f"the database cannot be used: {text}")
