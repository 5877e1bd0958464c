"""Migrations: repeatable, safe at once, refused when they do not fit, and equal to the tables in code."""

import sqlite3
import subprocess
import sys

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from orch.errors import BadInput, SchemaMismatch, StoreError
from orch.store import migrate
from orch.store.engine import make_engine
from orch.store.tables import metadata


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/home/orch.db"


def test_a_second_upgrade_does_nothing(url):
    assert migrate.upgrade(url) is True
    assert migrate.upgrade(url) is False
    migrate.check(url)


def test_the_newest_file_is_head():
    assert list(migrate._scripts())[-1] == migrate.HEAD


@pytest.mark.filterwarnings("ignore:.*expression-based index")  # compared by the next test
def test_the_migrations_make_the_tables_of_the_code(url):
    migrate.upgrade(url)
    engine = make_engine(url, 1.0)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_migrations_make_the_indexes_of_the_code(url, tmp_path):
    migrate.upgrade(url)
    of_the_code = make_engine(f"sqlite:///{tmp_path}/code.db", 1.0)
    metadata.create_all(of_the_code)
    migrated = make_engine(url, 1.0)
    assert _indexes(migrated) == _indexes(of_the_code)
    for engine in (migrated, of_the_code):
        engine.dispose()


def _indexes(engine):
    """Return the SQL of each index, expressions and conditions included."""
    with engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        )
        return {name: " ".join(sql.split()) for name, sql in found}


def test_rows_of_the_first_schema_survive_the_way_up_and_down(url):
    migrate.upgrade(url)
    migrate.downgrade(url, "0001")
    engine = make_engine(url, 1.0)
    insert = (
        "INSERT INTO dag_run (dag_pk, dag_id, run_id, run_type, state, dag_version_id, run_after, created_at)"
        " VALUES (1, 'd', 'r', 'manual', 'success', 1, 1, 1)"
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(insert)
    migrate.upgrade(url)
    migrate.downgrade(url, "0001")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT run_id FROM dag_run").scalar_one() == "r"
    engine.dispose()


def test_a_downgrade_to_base_leaves_no_table_and_an_upgrade_brings_them_back(url):
    migrate.upgrade(url)
    migrate.downgrade(url, "base")
    engine = make_engine(url, 1.0)
    assert set(sa.inspect(engine).get_table_names()) <= {"alembic_version", "sqlite_sequence"}
    engine.dispose()
    assert migrate.upgrade(url) is True


def test_an_unknown_revision_is_refused_by_name(url):
    migrate.upgrade(url)
    with pytest.raises(BadInput, match="'0815'"):
        migrate.downgrade(url, "0815")


def test_a_newer_database_is_refused(url):
    migrate.upgrade(url)
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    for use in (migrate.check, migrate.upgrade):
        with pytest.raises(SchemaMismatch, match="newer than this code"):
            use(url)


def test_a_database_without_schema_is_named_with_its_remedy(url):
    with pytest.raises(SchemaMismatch, match="orch db migrate"):
        migrate.check(url)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file/home"):
        migrate.upgrade(f"sqlite:///{tmp_path}/file/home/orch.db")


def test_a_failed_migration_leaves_nothing_behind(url, monkeypatch):
    def broken(connection: sa.Connection, action: str, revision: str) -> None:
        connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")
        raise RuntimeError("killed midway")

    with monkeypatch.context() as patch:
        patch.setattr(migrate, "_alembic", broken)
        with pytest.raises(RuntimeError):
            migrate.upgrade(url)
    assert migrate.current(url) is None
    assert migrate.upgrade(url) is True


def test_of_several_migrators_at_once_one_works_and_all_are_content(url):
    code = f"from orch.store import migrate; print(migrate.upgrade({url!r}))"
    migrators = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    answers = [migrator.communicate(timeout=60)[0].strip() for migrator in migrators]
    assert sorted(answers) == ["False", "False", "True"]
    migrate.check(url)


def test_history_tells_what_is_applied(url):
    assert [revision.is_applied for revision in migrate.history(url)] == [False, False]
    migrate.upgrade(url)
    assert [revision.is_applied for revision in migrate.history(url)] == [True, True]


def test_only_its_owner_may_read_the_database(url, tmp_path):
    migrate.upgrade(url)
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "home").iterdir()} == {0}
