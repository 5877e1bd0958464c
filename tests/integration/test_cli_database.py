"""`orch db` on a home of its own: making, checking and taking back the schema, each with its audit row."""

import json
import os
from contextlib import closing

import pytest
from click.testing import CliRunner

from orch.app.home import up_lock
from orch.cli.main import cli
from orch.operations import database
from orch.operations.actor import Actor
from orch.operations.database import Database
from orch.processes import LockFile
from orch.settings import load_settings
from orch.store import migrate
from orch.store.engine import Store
from orch.store.execution import Execution
from orch.store.queries import audit
from orch.store.queries.processes import ProcessInfo


def orch(home, *args):
    return CliRunner().invoke(cli, [*args, "--home", str(home)], env={"ORCH_HOME": ""})


def test_migrate_makes_a_home_and_the_second_time_does_nothing(tmp_path):
    home = tmp_path / "new" / "home"
    assert "migrated to revision" in orch(home, "db", "migrate").stdout
    assert "already" in orch(home, "db", "migrate").stdout
    assert oct((home / "run").stat().st_mode)[-3:] == "700"


def test_check_without_a_schema_is_bad_input(tmp_path):
    (tmp_path / "orch.db").touch()
    result = orch(tmp_path, "db", "check")
    assert result.exit_code == 2
    assert "run `orch db migrate`" in result.stderr


@pytest.mark.parametrize("args", [("check",), ("verify",), ("history",), ("downgrade", "base")])
def test_without_a_database_that_is_said_and_nothing_is_made(tmp_path, args):
    result = orch(tmp_path / "none", "db", *args)
    assert result.exit_code == 2
    assert f"there is no database in {tmp_path / 'none'}" in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "none").exists()


def test_history_of_an_empty_database_applies_nothing(tmp_path):
    (tmp_path / "orch.db").touch()
    revisions = json.loads(orch(tmp_path, "db", "history", "--json").stdout)
    assert revisions
    assert not any(revision["is_applied"] for revision in revisions)


def test_downgrade_is_refused_while_orch_up_holds_the_home(tmp_path):
    orch(tmp_path, "db", "migrate")
    with LockFile.acquire(up_lock(load_settings(tmp_path, {}))):
        result = orch(tmp_path, "db", "downgrade", "base", "--yes")
    assert result.exit_code == 2
    assert f"`orch up` (pid {os.getpid()}) works with {tmp_path}; stop it first" in result.stderr
    assert orch(tmp_path, "db", "check").exit_code == 0


def test_downgrade_is_refused_while_a_component_lives(tmp_path):
    orch(tmp_path, "db", "migrate")
    url = f"sqlite:///{tmp_path / 'orch.db'}"
    with closing(Store.open(url)) as store:
        worker = ProcessInfo("worker-1", "worker", "elsewhere", "", 4711, None, None, 4, 3600.0)
        Execution(store).register(worker)
        result = orch(tmp_path, "db", "downgrade", "base", "--yes")
    assert result.exit_code == 2
    assert "worker (pid 4711 on elsewhere)" in result.stderr
    assert orch(tmp_path, "db", "check").exit_code == 0


def test_an_unknown_revision_is_refused_before_anything_is_asked(tmp_path):
    orch(tmp_path, "db", "migrate")
    result = orch(tmp_path, "db", "downgrade", "0815")
    assert result.exit_code == 2
    assert "unknown revision '0815'; known: base, 0001, 0002" in result.stderr
    assert result.stdout == ""


def test_downgrade_to_base_and_up_again(tmp_path):
    orch(tmp_path, "db", "migrate")
    assert orch(tmp_path, "db", "downgrade", "base", "--yes").exit_code == 0
    assert orch(tmp_path, "db", "check").exit_code == 2
    assert orch(tmp_path, "db", "migrate").exit_code == 0
    assert orch(tmp_path, "db", "check").exit_code == 0


def test_a_migration_is_audited_once(tmp_path):
    where = Database(f"sqlite:///{tmp_path / 'orch.db'}", 30.0, 128)
    assert database.upgrade(where, Actor("ada"))
    assert not database.upgrade(where, Actor("ada"))
    with closing(Store.open(where.url)) as store, store.read() as tx:
        ((_, entry),) = audit.newest(tx)
    assert (entry.actor, entry.action, entry.result) == ("ada", "db.migrate", "done")
    assert entry.detail == {"revision": migrate.HEAD}


def test_a_home_that_is_a_file_is_an_error_in_words(tmp_path):
    file = tmp_path / "file"
    file.touch()
    result = orch(file / "home", "db", "migrate")
    assert result.exit_code == 2
    assert "Not a directory" in result.stderr
    assert "Traceback" not in result.stderr
