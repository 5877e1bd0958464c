"""Creation of scheduled runs in batches: bounded, fair, and no DAG stands in the way of another one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.harness import Engine, spec_of
from tests.integration.test_scheduled_runs import register

from orch.domain.cron import DstRule
from orch.domain.dagspec import DagSpec, TaskSpec, TimetableSpec
from orch.errors import OrchError
from orch.failpoints import Failpoints
from orch.scheduler.create_runs import RUNS_PER_TURN, TASKS_PER_TRANSACTION, RunCreator
from orch.store.queries import cursors, promotion
from orch.store.queries.pauses import set_paused

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def creator(engine):
    """Make one batch in each round, so that a test sees what happens between two of them."""
    engine.scheduler._creator = RunCreator(engine.scheduler.context, seconds_per_round=0.0)
    return engine.scheduler._creator


class Recorder(Failpoints):
    """Notes which failpoints are passed, and raises at one when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: list[str] = []
        self.error_at: str | None = None

    def hit(self, name: str) -> None:
        self.passed.append(name)
        if name == self.error_at:
            self.error_at = None
            raise OrchError(f"on purpose at {name}")


@pytest.fixture
def passed(engine):
    engine.store.failpoints = Recorder()
    return engine.store.failpoints


def wide(dag_id: str, width: int, **values: Any) -> DagSpec:
    tasks = tuple(TaskSpec(f"t{n}", "Test") for n in range(width))
    return DagSpec(dag_id, tasks, schedule=values.pop("schedule", "* * * * *"), **values)


def next_minute(engine: Engine) -> None:
    """Have every schedule looked at, and the next tick of all of them come."""
    while engine.scheduler._creator.run_once():
        pass
    engine.clock.advance(minutes=1)


def runs_by_dag(engine: Engine) -> dict[str, int]:
    with engine.store.read() as tx:
        return dict(tx.rows("SELECT dag_id, COUNT(*) FROM dag_run GROUP BY dag_id"))


def test_many_dags_share_a_transaction_of_a_bounded_number_of_tasks(engine, passed):
    for number in range(60):
        engine.add_dag(wide(f"d{number}", 25))
    next_minute(engine)
    passed.passed.clear()
    sizes = []
    while engine.scheduler._creator.run_once():
        sizes.append(engine.value("SELECT COUNT(*) FROM task_instance"))
    batches = [after - before for before, after in zip([0, *sizes], sizes, strict=False)]
    assert sum(batches) == 60 * 25
    assert max(batches) <= TASKS_PER_TRANSACTION
    assert len(runs_by_dag(engine)) == 60
    assert passed.passed.count("create_run.after_commit") < 30


def test_a_run_larger_than_a_transaction_has_one_of_its_own(engine):
    engine.add_dag(wide("small", 10))
    engine.add_dag(wide("huge", TASKS_PER_TRANSACTION + 1))
    next_minute(engine)
    creator = engine.scheduler._creator
    assert creator.run_once() == 2  # one run, and one more DAG waits
    assert runs_by_dag(engine) == {"small": 1}
    assert creator.run_once() == 1
    assert runs_by_dag(engine) == {"small": 1, "huge": 1}


def test_runs_that_are_made_go_on_before_all_others_are_made(engine):
    for number in range(3):
        engine.add_dag(wide(f"d{number}", 300))
    next_minute(engine)
    engine.scheduler.run_once()
    assert engine.value("SELECT COUNT(*) FROM dag_run") == 1
    assert engine.value("SELECT COUNT(*) FROM task_instance WHERE state = 'queued'") > 0
    engine.run()
    assert runs_by_dag(engine) == {"d0": 1, "d1": 1, "d2": 1}


DAMAGE = {
    "no JSON": "UPDATE dag_version SET structure = '{' WHERE dag_pk = 2",
    "no schedule": "UPDATE dag_version SET structure = replace(structure, '* * * * *', '61 * * * *') WHERE dag_pk = 2",
    "no date": "UPDATE schedule_cursor SET next_tick_at = -99999999999999999 WHERE dag_pk = 2",
    "refused row": "CREATE TRIGGER refuse BEFORE INSERT ON task_instance WHEN NEW.dag_pk = 2"
    " BEGIN SELECT RAISE(ABORT, 'on purpose'); END",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_broken_dag_leaves_nothing_behind_and_stops_no_other(engine, caplog, damage):
    for number in range(1, 4):
        engine.add_dag(wide(f"d{number}", 2))
    next_minute(engine)
    engine.scheduler._creator = RunCreator(engine.scheduler.context, 0.0)  # one that has read nothing yet
    engine.scheduler.context.specs.__init__()
    with engine.store.write("audit") as tx:
        tx.execute(damage)
    while engine.scheduler._creator.run_once():
        pass
    assert runs_by_dag(engine) == {"d1": 1, "d3": 1}
    assert engine.value("SELECT COUNT(*) FROM task_instance WHERE dag_pk = 2") == 0
    assert caplog.text.count("its scheduled run cannot be created") == 1
    repair(engine)


def repair(engine: Engine) -> None:
    """Leave a database that the check after each test can read."""
    with engine.store.write("audit") as tx:
        tx.execute("DROP TRIGGER IF EXISTS refuse")
        tx.execute("UPDATE schedule_cursor SET next_tick_at = 0 WHERE next_tick_at < 0")
        tx.execute("UPDATE dag_version SET structure = (SELECT structure FROM dag_version WHERE dag_pk = 1)")
        tx.execute("UPDATE dag_version SET structure = replace(structure, '\"d1\"', '\"d' || dag_pk || '\"')")


def test_a_broken_dag_is_set_aside_and_tried_again_later(engine, caplog):
    engine.add_dag(wide("d1", 1))
    engine.add_dag(wide("d2", 1))
    next_minute(engine)
    with engine.store.write("audit") as tx:
        tx.execute(DAMAGE["refused row"])
    for _ in range(5):
        engine.scheduler._creator.run_once()
    assert caplog.text.count("cannot be created") == 1
    repair(engine)
    engine.scheduler._creator._set_aside = dict.fromkeys(engine.scheduler._creator._set_aside, 0.0)
    engine.scheduler._creator.run_once()
    assert runs_by_dag(engine) == {"d1": 1, "d2": 1}


@pytest.mark.parametrize("moment", ["begin", "before_commit", "after_commit"])
def test_after_trouble_between_batches_every_tick_still_has_one_run(engine, passed, moment):
    for number in range(6):
        engine.add_dag(wide(f"d{number}", 200))
    next_minute(engine)
    engine.scheduler._creator.run_once()
    passed.error_at = f"create_run.{moment}"
    with pytest.raises(OrchError, match="on purpose"):
        engine.scheduler._creator.run_once()
    engine.scheduler._creator = RunCreator(engine.scheduler.context, 0.0)
    while engine.scheduler._creator.run_once():
        pass
    assert runs_by_dag(engine) == {f"d{number}": 1 for number in range(6)}


def test_dags_that_catch_up_take_turns_and_those_on_time_come_first(engine):
    start = NOON - timedelta(days=3)
    for number in range(4):
        engine.add_dag(wide(f"late{number}", 10, start_date=start, catchup=True))
    engine.add_dag(wide("on_time", 10))
    for _ in range(3):
        engine.scheduler._creator.run_once()
    engine.clock.advance(minutes=1)
    engine.scheduler._creator.run_once()
    assert runs_by_dag(engine)["on_time"] == 1
    for _ in range(3):
        engine.scheduler._creator.run_once()
    turns = [count for name, count in runs_by_dag(engine).items() if name != "on_time"]
    assert len(turns) == 4
    assert max(turns) - min(turns) <= 2 * RUNS_PER_TURN


def test_many_dags_catch_up_completely(engine):
    for number in range(12):
        engine.add_dag(
            wide(f"d{number}", 1, schedule="0 * * * *", start_date=NOON - timedelta(days=1), catchup=True)
        )
    engine.run(rounds=3000)
    assert set(runs_by_dag(engine).values()) == {25}
    assert engine.value("SELECT COUNT(*) FROM dag_run WHERE state = 'success'") == 12 * 25


@pytest.mark.parametrize("catchup", [True, False])
@pytest.mark.parametrize("day", ["2024-03-30T22:00", "2024-10-26T22:00"])
def test_the_day_of_a_clock_change_has_the_runs_of_each_schedule_and_rule(engine, catchup, day):
    engine.clock.now = datetime.fromisoformat(day).replace(tzinfo=UTC)
    for schedule in ("30 2 * * *", "*/30 * * * *", "0 1,2,3 * * *"):
        for rule in DstRule:
            engine.add_dag(
                DagSpec(f"{rule}{schedule[:2]}", spec_of({"a": ""}).tasks, schedule=schedule, timezone="Europe/Berlin",
                        dst=rule, start_date=engine.clock.now, catchup=catchup)
            )  # fmt: skip
    for _ in range(11):
        engine.run()
        engine.clock.advance(minutes=25)
    assert engine.value("SELECT COUNT(*) FROM dag_run") >= 4 * (8 + 2)  # which ones is what I16 checks


def test_a_schedule_that_changes_while_runs_wait_goes_on_from_there(engine):
    spec = wide(
        "d", 1, schedule="0 * * * *", start_date=NOON - timedelta(hours=5), catchup=True, max_active_runs=1
    )
    register(engine, spec)
    engine.scheduler.run_once()
    register(engine, replace(spec, schedule="30 * * * *"))
    engine.clock.advance(hours=3)
    engine.run()
    with engine.store.read() as tx:
        minutes = [
            (at // 60_000_000) % 60 for (at,) in tx.rows("SELECT logical_date FROM dag_run ORDER BY 1")
        ]
    assert minutes == [0] * 6 + [30] * 3
    assert engine.value("SELECT COUNT(*) FROM dag_run WHERE state = 'success'") == 9


def test_a_dag_paused_after_it_was_listed_gets_no_run_until_it_goes_on(engine):
    for number in (1, 2):
        engine.add_dag(wide(f"d{number}", 300))
    next_minute(engine)
    engine.scheduler._creator.run_once()
    with engine.store.write("pause") as tx:
        set_paused(tx, 2, "d2", is_paused=True)
    engine.run()
    assert runs_by_dag(engine) == {"d1": 1}
    with engine.store.write("pause") as tx:
        set_paused(tx, 2, "d2", is_paused=False)
    engine.run()
    assert runs_by_dag(engine) == {"d1": 1, "d2": 1}


def test_a_queued_run_of_a_paused_dag_says_so_once_and_goes_on_afterwards(engine):
    engine.add_dag(wide("d1", 1, max_active_runs=1))
    for number in range(3):
        engine.trigger("d1", f"r{number}")
    with engine.store.write("pause") as tx:
        set_paused(tx, 1, "d1", is_paused=True)
    engine.scheduler.run_once()
    with engine.store.read() as tx:
        assert promotion.without_room(tx, 10) == []
    assert engine.value("SELECT MIN(reason) FROM dag_run") == "dag_paused"
    with engine.store.write("pause") as tx:
        set_paused(tx, 1, "d1", is_paused=False)
    engine.scheduler.run_once()
    assert engine.value("SELECT GROUP_CONCAT(reason) FROM dag_run") == "max_active_runs,max_active_runs"
    engine.run()
    assert engine.value("SELECT COUNT(*) FROM dag_run WHERE state = 'success'") == 3


def test_a_continuous_schedule_with_an_open_run_is_no_reason_to_wake_up(engine):
    engine.add_dag(
        DagSpec("d", spec_of({"a": ""}).tasks, schedule="@continuous", timetable=TimetableSpec("continuous"))
    )
    engine.scheduler.run_once()
    engine.clock.advance(seconds=2)
    engine.scheduler.run_once()
    with engine.store.read() as tx:
        assert (cursors.due(tx, 100), cursors.next_at(tx)) == ([], None)
    assert engine.value("SELECT COUNT(*) FROM dag_run") == 1


LOOKS = {
    "due": lambda tx: cursors.due(tx, 100),
    "next_at": cursors.next_at,
    "ahead": cursors.ahead,
    "with_room": promotion.with_room,
    "promotable": lambda tx: promotion.promotable(tx, 1),
    "repeats": lambda tx: promotion.repeats(tx, 1),
    "without_room": lambda tx: promotion.without_room(tx, 1),
    "queued_scheduled": lambda tx: promotion.queued_scheduled(tx, 1),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_no_look_reads_all_runs(engine, look):
    engine.add_dag(wide("d", 1))
    with engine.store.read() as tx:
        statements: list[str] = []
        tx.driver.set_trace_callback(statements.append)
        look(tx)
        tx.driver.set_trace_callback(None)
        plans = [row[3] for text in statements for row in tx.rows(f"EXPLAIN QUERY PLAN {text}")]
    assert plans
    assert not [
        line for line in plans if line.startswith(("SCAN dag_run", "SCAN r", "SCAN a", "SCAN o", "SCAN n"))
    ]
