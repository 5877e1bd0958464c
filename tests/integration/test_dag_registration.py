"""Registration: what the store keeps of DAG files, their DAGs, versions, limits and schedules."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from orch.domain.dagspec import DagSpec, TaskSpec
from orch.store import migrate
from orch.store.engine import Store
from orch.store.queries import cursors, dag_files, registration
from orch.store.queries.dag_files import FileProblem, KnownFile, ParsedDag, ParsedFile

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TASKS = (
    TaskSpec("a", "EmptyOperator", owner="ann"),
    TaskSpec("b", "EmptyOperator", upstream=("a",), owner="bob"),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'orch.db'}"
    migrate.upgrade(url)
    minutes = count()
    opened = Store.open(url, clock=lambda: NOW + timedelta(minutes=next(minutes)))
    yield opened
    opened.close()


def parsed(path: str, *specs: DagSpec, rev: str = "rev1", problem: str = "") -> ParsedFile:
    problems = (FileProblem(problem, 3, "Traceback"),) if problem else ()
    return ParsedFile(path, rev, "key", (path,), tuple(map(ParsedDag.of, specs)), problems, 0.1)


def register(store: Store, *files: ParsedFile) -> list[str]:
    with store.write("register_dags") as tx:
        return registration.register_files(tx, files)


def forget(store: Store, *paths: str) -> list[str]:
    with store.write("register_dags") as tx:
        return registration.forget_files(tx, paths)


def rows(store: Store, sql: str) -> list[tuple[object, ...]]:
    with store.read() as tx:
        return tx.rows(sql)


def known(store: Store) -> list[KnownFile]:
    with store.read() as tx:
        return dag_files.known_files(tx)


def test_new_dag_gets_row_version_limits_and_cursor(store: Store) -> None:
    spec = DagSpec(
        "etl", TASKS, "Load it", "0 6 * * *", tags=("x", "y"), max_active_tasks=3, max_active_runs=2
    )
    assert register(store, parsed("team/etl.py", spec)) == ["etl"]
    columns = "file, description, schedule, tags, owner, is_paused, is_missing, source_rev, max_active_tasks"
    assert rows(store, f"SELECT {columns} FROM dag") == [
        ("team/etl.py", "Load it", "0 6 * * *", '["x", "y"]', "ann, bob", 0, 0, "rev1", 3)
    ]
    assert rows(store, "SELECT number, structure FROM dag_version") == [(1, spec.to_json())]
    assert rows(store, "SELECT d.current_version_id = v.id FROM dag d, dag_version v") == [(1,)]
    limits = rows(store, "SELECT kind, name, size FROM limit_row WHERE name = 'etl' ORDER BY kind")
    assert limits == [("dag_runs", "etl", 2), ("dag_tasks", "etl", 3)]
    assert rows(store, "SELECT next_tick_at FROM schedule_cursor") == [(cursors.UNKNOWN,)]


def test_registering_the_same_again_changes_nothing(store: Store) -> None:
    file = parsed("a.py", DagSpec("x", TASKS))
    register(store, file)
    tables = ("dag", "dag_version", "limit_row", "limit_history", "schedule_cursor")
    before = [rows(store, f"SELECT * FROM {table}") for table in tables]
    assert register(store, file) == []
    assert [rows(store, f"SELECT * FROM {table}") for table in tables] == before


def test_new_structure_is_a_new_version_and_the_old_one_comes_back(store: Store) -> None:
    first, second = DagSpec("x", TASKS), DagSpec("x", TASKS[:1])
    register(store, parsed("a.py", first))
    assert register(store, parsed("a.py", second, rev="rev2")) == ["x"]
    assert rows(store, "SELECT number FROM dag_version ORDER BY number") == [(1,), (2,)]
    register(store, parsed("a.py", first, rev="rev3"))
    current = "SELECT v.number, d.source_rev FROM dag d JOIN dag_version v ON v.id = d.current_version_id"
    assert rows(store, current) == [(1, "rev3")]


def test_new_code_with_the_same_structure_changes_the_revision_only(store: Store) -> None:
    register(store, parsed("a.py", DagSpec("x", TASKS)))
    assert register(store, parsed("a.py", DagSpec("x", TASKS), rev="rev2")) == ["x"]
    assert rows(store, "SELECT source_rev FROM dag") == [("rev2",)]
    assert rows(store, "SELECT COUNT(*) FROM dag_version") == [(1,)]


def test_paused_upon_creation_counts_only_for_a_new_dag(store: Store) -> None:
    register(store, parsed("a.py", DagSpec("x", is_paused_upon_creation=True), DagSpec("y")))
    register(store, parsed("a.py", DagSpec("x"), DagSpec("y", is_paused_upon_creation=True), rev="rev2"))
    assert rows(store, "SELECT dag_id, is_paused FROM dag ORDER BY dag_id") == [("x", 1), ("y", 0)]


def move_cursor(store: Store, tick: int) -> None:
    with store.write("create_run") as tx:
        cursors.move(tx, 1, tick, tick + 60)


@pytest.mark.parametrize(
    ("after", "next_tick_at"),
    [
        (DagSpec("x", schedule="0 6 * * *", description="other"), 160),
        (DagSpec("x", schedule="0 7 * * *"), cursors.UNKNOWN),
        (DagSpec("x", schedule="0 6 * * *", timezone="Europe/Paris"), cursors.UNKNOWN),
        (DagSpec("x", schedule="0 6 * * *", start_date=datetime(2026, 1, 1, tzinfo=UTC)), cursors.UNKNOWN),
        (DagSpec("x"), None),
    ],
)
def test_only_another_schedule_resets_the_cursor(
    store: Store, after: DagSpec, next_tick_at: int | None
) -> None:
    register(store, parsed("a.py", DagSpec("x", schedule="0 6 * * *")))
    move_cursor(store, 100)
    register(store, parsed("a.py", after, rev="rev2"))
    assert rows(store, "SELECT last_tick_at, next_tick_at FROM schedule_cursor") == [(100, next_tick_at)]


def test_changed_limits_leave_a_trace(store: Store) -> None:
    register(store, parsed("a.py", DagSpec("x", max_active_tasks=4)))
    register(store, parsed("a.py", DagSpec("x", max_active_tasks=2), rev="rev2"))
    sizes = rows(store, "SELECT size FROM limit_history WHERE kind = 'dag_tasks' ORDER BY seq")
    assert sizes == [(4,), (2,)]


def test_broken_file_keeps_its_last_good_version(store: Store) -> None:
    register(store, parsed("a.py", DagSpec("x", TASKS)))
    before = rows(store, "SELECT * FROM dag")
    assert register(store, parsed("a.py", rev="rev2", problem="SyntaxError: no")) == []
    assert rows(store, "SELECT * FROM dag") == before
    assert rows(store, "SELECT path, line, message, traceback FROM import_error") == [
        ("a.py", 3, "SyntaxError: no", "Traceback")
    ]
    assert known(store) == [KnownFile("a.py", "rev2", "key", ("a.py",), ("x",), is_broken=True)]


def test_lasting_problem_keeps_its_time_and_goes_with_the_repair(store: Store) -> None:
    register(store, parsed("a.py", problem="no"))
    before = rows(store, "SELECT * FROM import_error")
    register(store, parsed("a.py", rev="rev2", problem="no"))
    assert rows(store, "SELECT * FROM import_error") == before
    register(store, parsed("a.py", DagSpec("x")))
    assert rows(store, "SELECT * FROM import_error") == []


def test_dag_that_its_file_drops_is_missing_and_keeps_its_versions(store: Store) -> None:
    register(store, parsed("a.py", DagSpec("x"), DagSpec("y")))
    assert register(store, parsed("a.py", DagSpec("x"), rev="rev2")) == ["x", "y"]
    assert rows(store, "SELECT dag_id, is_missing FROM dag ORDER BY dag_id") == [("x", 0), ("y", 1)]
    assert rows(store, "SELECT COUNT(*) FROM dag_version") == [(2,)]


def test_forgotten_file_makes_its_dags_missing_and_its_return_brings_them_back(store: Store) -> None:
    file = parsed("a.py", DagSpec("x", TASKS))
    register(store, file)
    assert forget(store, "a.py") == ["x"]
    assert (rows(store, "SELECT is_missing FROM dag"), known(store)) == ([(1,)], [])
    assert register(store, file) == ["x"]
    assert rows(store, "SELECT is_missing FROM dag") == [(0,)]
    assert rows(store, "SELECT COUNT(*) FROM dag_version") == [(1,)]


def test_dag_may_move_to_another_file(store: Store) -> None:
    register(store, parsed("a.py", DagSpec("x")))
    register(store, parsed("b.py", DagSpec("x")))
    assert forget(store, "a.py") == []
    assert rows(store, "SELECT file, is_missing FROM dag") == [("b.py", 0)]


def test_stat_keys_are_stored_alone(store: Store) -> None:
    register(store, parsed("a.py", DagSpec("x")))
    with store.write("register_dags") as tx:
        registration.store_stat_keys(tx, {"a.py": "new"})
    assert known(store)[0] == replace(KnownFile("a.py", "rev1", "new", ("a.py",), ("x",), is_broken=False))


def test_import_errors_come_with_traceback_and_time(store: Store) -> None:
    register(store, parsed("b.py", problem="two"), parsed("a.py", problem="one"))
    with store.read() as tx:
        errors = dag_files.import_errors(tx)
    assert [(e.path, e.line, e.message, e.traceback) for e in errors] == [
        ("a.py", 3, "one", "Traceback"),
        ("b.py", 3, "two", "Traceback"),
    ]
    assert errors[0].created_at.tzinfo is UTC


def test_stored_structure_reads_back_as_the_spec(store: Store) -> None:
    spec = DagSpec("x", TASKS, description="ünïcode \u2028")
    register(store, parsed("a.py", spec))
    ((structure,),) = rows(store, "SELECT structure FROM dag_version")
    assert DagSpec.from_json(str(structure)) == spec
    assert json.loads(str(structure))["dag_id"] == "x"
