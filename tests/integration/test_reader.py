"""The reader: SQLite without SQLAlchemy, read only, and never a file that was not there."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orch.app.reader import live_roles, open_reader
from orch.errors import BadInput, SchemaMismatch, StoreError
from orch.processes import LockFile, boot_id
from orch.settings import load_settings
from orch.store import migrate
from orch.store.change_mark import FRESH_SECONDS, ChangeMark
from orch.store.engine import Store
from orch.store.queries import processes
from orch.store.queries.processes import ProcessInfo
from orch.store.reader import SqliteReader, new_reader, newest_revision, sqlite_path


@pytest.fixture
def settings(tmp_path):
    settings = load_settings(tmp_path / "home with #%", {})
    migrate.upgrade(settings.database.url)
    return settings


@pytest.fixture
def store(settings):
    with closing(Store.open(settings.database.url)) as store:
        yield store


def register(store, lock: Path | None, lease_seconds: float = 30.0, host: str | None = None):
    host = host or os.uname().nodename
    with store.write("register_process") as tx:
        info = ProcessInfo("worker-1-x", "worker", host, boot_id(), 1, str(lock), None, 1, lease_seconds)
        processes.register(tx, info)


def test_the_newest_revision_is_the_one_the_migrator_knows():
    assert newest_revision() == migrate.HEAD


def test_a_home_without_a_database_is_bad_input_and_stays_empty(tmp_path):
    settings = load_settings(tmp_path / "none", {})
    with pytest.raises(BadInput, match=r"no database in .*none; start with `orch up`"), open_reader(settings):
        pass
    assert not (tmp_path / "none").exists()


def test_a_reader_sees_what_was_committed_and_cannot_write(settings, store):
    register(store, None)
    with open_reader(settings) as reader:
        with reader.read() as tx:
            assert tx.rows("SELECT role FROM process") == [("worker",)]
        with pytest.raises(StoreError, match="readonly"), reader.read() as tx:
            tx.rows("DELETE FROM process")


def test_a_reader_never_makes_a_file(tmp_path):
    reader = SqliteReader(tmp_path / "none.db")
    with pytest.raises(StoreError, match="unable to open"), reader.read():
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_read_is_one_state_of_the_database(settings, store):
    with open_reader(settings) as reader, reader.read() as tx:
        assert tx.rows("SELECT COUNT(*) FROM process") == [(0,)]
        register(store, None)
        assert tx.rows("SELECT COUNT(*) FROM process") == [(0,)]


@pytest.mark.parametrize("prepare", ["empty", "foreign"])
def test_a_file_without_our_schema_is_refused_with_the_remedy(tmp_path, prepare):
    settings = load_settings(tmp_path, {})
    with closing(sqlite3.connect(tmp_path / "orch.db")) as connection:
        connection.execute("CREATE TABLE other (x)" if prepare == "foreign" else "VACUUM")
    with pytest.raises(SchemaMismatch, match="run `orch db migrate`"), open_reader(settings):
        pass


def test_a_newer_schema_is_refused(settings):
    with closing(sqlite3.connect(settings.core.home / "orch.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaMismatch, match="newer than this code"), open_reader(settings):
        pass


def test_a_file_that_is_no_database_is_an_error_in_words(tmp_path):
    settings = load_settings(tmp_path, {})
    (tmp_path / "orch.db").write_text("this is not a database at all, only text " * 100)
    with pytest.raises(StoreError, match="cannot be read: file is not a database"), open_reader(settings):
        pass


def test_the_url_of_a_plain_file_is_read_without_the_store():
    assert sqlite_path("sqlite:////a/b.db") == Path("/a/b.db")
    assert sqlite_path("sqlite:///b.db") == Path("b.db")
    assert sqlite_path("sqlite:////a%3Fb%23c%20%2541/%C3%A9.db") == Path("/a?b#c %41/é.db")
    assert sqlite_path("sqlite:////a/b.db?timeout=3") is None
    assert sqlite_path("postgresql://x/y") is None
    assert sqlite_path("sqlite:///:memory:") is None
    assert isinstance(new_reader("sqlite:////a/b.db"), SqliteReader)
    assert isinstance(new_reader("sqlite:////a/b.db?timeout=3"), Store)


def test_a_held_lock_proves_life_and_a_free_one_death(settings, store, tmp_path):
    with LockFile.acquire(tmp_path / "w.lock") as lock:
        register(store, lock.path, lease_seconds=-1)
        with open_reader(settings) as reader:
            assert live_roles(reader) == {"worker"}
    with open_reader(settings) as reader:
        assert live_roles(reader) == frozenset()


@pytest.mark.parametrize(("lease", "roles"), [(30.0, {"worker"}), (-1.0, set())])
def test_on_another_host_the_lease_decides(settings, store, tmp_path, lease, roles):
    register(store, tmp_path / "none.lock", lease, host="elsewhere")
    with open_reader(settings) as reader:
        assert live_roles(reader) == roles


def age(settings, seconds: float) -> None:
    """Let the files of the database look as if they had been written some time ago."""
    for file in (settings.core.home / "orch.db", settings.core.home / "orch.db-wal"):
        if file.exists():
            before = file.stat().st_mtime_ns - int(seconds * 1e9)
            os.utime(file, ns=(before, before))


def test_a_commit_moves_the_mark_and_a_read_does_not(settings, store):
    mark = ChangeMark(settings.database.url)
    register(store, None)
    age(settings, 10)
    assert mark.moved()
    assert not mark.moved()
    with open_reader(settings) as reader, reader.read() as tx:
        tx.rows("SELECT * FROM process")
    assert not mark.moved()
    with store.write("release_process") as tx:
        processes.end(tx, "worker-1-x")
    assert mark.moved()


def test_a_file_that_was_written_just_now_is_not_trusted_yet(settings, store):
    register(store, None)
    age(settings, -60)  # as new as can be, whatever the speed of this machine
    mark = ChangeMark(settings.database.url)
    assert mark.moved()
    assert mark.moved()
    age(settings, 60 + 10 * FRESH_SECONDS)
    assert mark.moved()
    assert not mark.moved()


def test_a_server_is_always_worth_a_look():
    mark = ChangeMark("postgresql://host/name")
    assert mark.moved()
    assert mark.moved()
