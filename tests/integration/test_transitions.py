"""The one door for state: who loses is told, and nothing else is written."""

import ast
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.harness import Engine, spec_of

from orch.domain.states import Actor, RunState, TaskState
from orch.store.queries import runs
from orch.store.queries.transitions import By, IllegalMove, RunMove, TaskMove, move_run, move_tasks

SOURCE = Path(__file__).parents[2] / "core" / "src" / "orch"
BY = By(Actor.SCHEDULER, "test")


@pytest.fixture
def engine(tmp_path):
    engine = Engine.create(tmp_path / "home")
    engine.add_dag(spec_of({"a": "", "b": "", "c": ""}))
    engine.trigger("d")
    yield engine
    engine.store.close()


def rows_of(engine):
    with engine.store.read() as tx:
        return runs.rows_of_run(tx, 1)


def to_scheduled(row):
    return TaskMove(row, replace(row, state=TaskState.SCHEDULED))


def test_a_move_raises_the_version_and_writes_one_history_row(engine):
    (row, *_) = rows_of(engine)
    with engine.store.write("evaluate") as tx:
        (moved,) = move_tasks(tx, [to_scheduled(row)], BY)
    assert (moved.state, moved.version) == (TaskState.SCHEDULED, 1)
    assert engine.value("SELECT COUNT(*) FROM ti_history") == 1


def test_of_many_moves_only_the_loser_is_left_out(engine):
    rows = rows_of(engine)
    with engine.store.write("evaluate") as tx:
        move_tasks(tx, [to_scheduled(rows[1])], BY)
    with engine.store.write("evaluate") as tx:
        won = move_tasks(tx, [to_scheduled(row) for row in rows], BY)
    assert [row.id for row in won] == [rows[0].id, rows[2].id]
    assert engine.value("SELECT COUNT(*) FROM ti_history") == 3
    engine.check()


def test_a_stale_epoch_loses(engine):
    (row, *_) = rows_of(engine)
    with engine.store.write("evaluate") as tx:
        assert move_tasks(tx, [to_scheduled(replace(row, epoch=7))], BY) == []


def test_a_move_that_the_table_does_not_have_is_a_bug_and_writes_nothing(engine):
    (row, *_) = rows_of(engine)
    with pytest.raises(IllegalMove, match="none -> running"), engine.store.write("evaluate") as tx:
        move_tasks(tx, [TaskMove(row, replace(row, state=TaskState.RUNNING))], BY)
    assert engine.value("SELECT COUNT(*) FROM ti_history") == 0


def test_a_run_moves_once(engine):
    move = RunMove(1, 1, RunState.QUEUED, RunState.RUNNING, due_at=1)
    with engine.store.write("promote") as tx:
        assert move_run(tx, move, BY)
        assert not move_run(tx, move, BY)
    assert engine.value("SELECT COUNT(*) FROM run_history WHERE new = 'running'") == 1


def test_of_two_threads_that_race_for_each_task_exactly_one_wins(engine, tmp_path):
    rows = rows_of(engine)
    barrier = threading.Barrier(4)
    wins: list[int] = []

    def race() -> None:
        other = type(engine.store).open(engine.settings.database.url)
        barrier.wait()
        for row in rows:
            with other.write("evaluate") as tx:
                wins.extend(moved.id for moved in move_tasks(tx, [to_scheduled(row)], BY))
        other.close()

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wins) == [row.id for row in rows]
    engine.check()


def statements(path: Path) -> list[str]:
    return [
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


STATE_WRITE = re.compile(
    r"update\s+(task_instance|dag_run)\s+set(?:(?!\bwhere\b)[^;])*?\bstate\s*=", re.IGNORECASE | re.DOTALL
)
CORE_WRITE = re.compile(r"\.update\((task_instance|dag_run)\)")


def test_no_other_module_writes_a_state_column():
    door = SOURCE / "store" / "queries" / "transitions.py"
    assert any(STATE_WRITE.search(text) for text in statements(door))
    for path in SOURCE.rglob("*.py"):
        if path != door:
            assert not any(STATE_WRITE.search(text) for text in statements(path)), path
            assert not CORE_WRITE.search(path.read_text()), path
