"""Admission by turn: who is queued when slots are short, with the real store and scheduler."""

from collections import Counter

import pytest
from tests.integration.harness import Engine

from orch.domain.dagspec import DagSpec, TaskSpec
from orch.scheduler.service import Scheduler
from orch.settings import load_settings
from orch.store import migrate
from orch.store.queries import admission, lanes, limits
from orch.store.queries.admission import plan_admission
from orch.store.verify import verify


def wide(dag_id: str, count: int, *, most: int = 100_000, **values: object) -> DagSpec:
    """A DAG of tasks that wait for nothing but slots."""
    tasks = tuple(TaskSpec(f"t{n}", "Test", **values) for n in range(count))  # type: ignore[arg-type]
    return DagSpec(dag_id, tasks, max_active_tasks=most)


def start(engine: Engine, *specs: DagSpec) -> None:
    for spec in specs:
        engine.add_dag(spec)
        engine.trigger(spec.dag_id)


def set_pool(engine: Engine, slots: int, name: str = "default") -> None:
    with engine.store.write("pool") as tx:
        limits.set_size(tx, "pool", name, slots)


def settle(engine: Engine) -> None:
    while engine.scheduler.run_once():
        engine.clock.advance(seconds=0.01)


def claimed_in_order(engine: Engine, rounds: int, *, at_once: int) -> list[str]:
    """Work for some rounds; return the DAGs of the claims in their order."""
    before = len(engine.claims)
    for _ in range(rounds):
        settle(engine)
        engine.work(limit=at_once)
        engine.clock.advance(seconds=1)
    return [claim.dag_id for claim in engine.claims[before:]]


@pytest.mark.parametrize("slots", [1, 4, 128])
def test_small_dags_get_their_turns_beside_a_greedy_one(engine, slots):
    set_pool(engine, slots)
    start(engine, wide("greedy", 1500))
    claimed_in_order(engine, 3, at_once=4)
    start(engine, *(wide(f"small{n}", 1) for n in range(20)))
    order = claimed_in_order(engine, 60, at_once=min(slots, 4))
    assert {f"small{n}" for n in range(20)} <= set(order)
    last = max(number for number, dag_id in enumerate(order) if dag_id != "greedy")
    assert last <= slots + 2 * 21


def test_a_wide_task_gets_its_slots_though_narrow_ones_keep_coming(engine):
    set_pool(engine, 4, "db")
    start(engine, wide("first", 4, pool="db"))
    settle(engine)
    start(engine, wide("wide", 1, pool="db", pool_slots=4))
    for number in range(40):
        engine.add_dag(wide(f"narrow{number}", 2, pool="db"))
        engine.trigger(f"narrow{number}")
        settle(engine)
        if engine.work(limit=1) and engine.claims[-1].dag_id == "wide":
            break
        engine.clock.advance(seconds=1)
    assert engine.claims[-1].dag_id == "wide"
    assert number < 10


def test_a_task_that_needs_more_than_its_whole_pool_holds_nobody_up(engine):
    set_pool(engine, 2, "db")
    start(engine, wide("huge", 1, pool="db", pool_slots=3, priority_weight=100), wide("small", 2, pool="db"))
    assert claimed_in_order(engine, 2, at_once=1) == ["small", "small"]


def test_a_light_task_is_admitted_when_it_has_waited_long_enough(engine):
    set_pool(engine, 1)
    start(engine, wide("light", 1), wide("heavy", 30, priority_weight=4))
    settle(engine)
    hours = 0.0
    while not any(claim.dag_id == "light" for claim in engine.claims):
        settle(engine)
        engine.work(limit=1)
        engine.clock.advance(hours=0.25)
        hours += 0.25
    assert 2 <= hours <= 2.75


def test_a_higher_weight_goes_first_among_the_queued_too(engine):
    start(engine, wide("plain", 20))
    settle(engine)
    start(engine, wide("urgent", 1, priority_weight=8))
    settle(engine)
    assert claimed_in_order(engine, 1, at_once=1) == ["urgent"]


def test_the_priority_of_the_weight_rule_counts(engine):
    set_pool(engine, 1)
    tasks = (TaskSpec("a", "Test"), TaskSpec("b", "Test", weight_rule="downstream", priority=16))
    start(engine, DagSpec("d", tasks))
    claimed_in_order(engine, 2, at_once=1)
    assert [claim.task_id for claim in engine.claims] == ["b", "a"]


def most_at_once(engine: Engine) -> Counter[str]:
    """Work one by one until all is done; return by task the most instances that were queued or running at once."""
    counts = (
        "SELECT task_id, COUNT(*) FROM task_instance WHERE state IN ('queued', 'running') GROUP BY task_id"
    )
    most: Counter[str] = Counter()
    is_working = True
    while is_working:
        settle(engine)
        with engine.store.read() as tx:
            most |= Counter(dict(tx.rows(counts)))
        is_working = engine.work(limit=1) > 0
    return most


def test_the_limit_of_a_task_holds_over_all_runs(engine):
    engine.add_dag(
        DagSpec("d", (TaskSpec("one", "Test", max_active_tis_per_dag=2), TaskSpec("free", "Test")))
    )
    for number in range(6):
        engine.trigger("d", f"r{number}")
    assert most_at_once(engine) == {"one": 2, "free": 6}


def test_the_limit_of_a_task_per_run_counts_each_run_apart(engine):
    with engine.store.write("register_dags") as tx:
        limits.set_size(tx, "pool", "default", 128)
    engine.add_dag(DagSpec("d", (TaskSpec("one", "Test", max_active_tis_per_dagrun=1),)))
    for number in range(3):
        engine.trigger("d", f"r{number}")
    assert most_at_once(engine) == {"one": 3}


def register(engine: Engine, spec: DagSpec) -> None:
    """Give a known DAG other limits, as the registration of its changed file does."""
    with engine.store.write("register_dags") as tx:
        ((dag_pk,),) = tx.rows("SELECT id FROM dag WHERE dag_id = ?", (spec.dag_id,))
        lanes.set_task_limits(tx, dag_pk, spec)


def test_a_limit_that_comes_later_holds_for_those_who_wait_already_and_goes_without_a_trace(engine):
    plain, limited = (
        DagSpec("d", (TaskSpec("t", "Test", max_active_tis_per_dag=most),)) for most in (None, 1)
    )
    set_pool(engine, 0)
    engine.add_dag(plain)
    for number in range(5):
        engine.trigger("d", f"r{number}")
    settle(engine)
    register(engine, limited)
    set_pool(engine, 10)
    settle(engine)
    queued = "SELECT COUNT(*) FROM task_instance WHERE state = 'queued'"
    assert engine.value(queued) == 1
    register(engine, plain)
    settle(engine)
    assert engine.value(queued) == 5
    assert engine.value("SELECT COUNT(*) FROM limit_row WHERE kind = 'task'") == 0


def test_a_limit_changes_its_size(engine):
    engine.add_dag(DagSpec("d", (TaskSpec("t", "Test", max_active_tis_per_dag=1),)))
    for number in range(5):
        engine.trigger("d", f"r{number}")
    settle(engine)
    register(engine, DagSpec("d", (TaskSpec("t", "Test", max_active_tis_per_dag=3),)))
    settle(engine)
    assert engine.value("SELECT COUNT(*) FROM task_instance WHERE state = 'queued'") == 3


def test_two_tasks_whose_names_join_alike_have_limits_of_their_own(engine):
    engine.add_dag(DagSpec("a.b", (TaskSpec("c", "Test", max_active_tis_per_dag=1),)))
    engine.add_dag(DagSpec("a", (TaskSpec("b.c", "Test"),)))
    for number in range(2):
        engine.trigger("a.b", f"r{number}")
        engine.trigger("a", f"r{number}")
    assert most_at_once(engine) == {"c": 1, "b.c": 2}


def test_the_settings_limit_executors_and_lift_it_again(tmp_path):
    engine = Engine.create(tmp_path / "home")
    for parallelism, size in (("3", 3), ("0", None)):
        settings = load_settings(tmp_path / "home", {"ORCH_CORE_EXECUTOR_PARALLELISM": parallelism})
        scheduler = Scheduler(settings, engine.store, engine.plugins)
        scheduler._register("nowhere", tmp_path / "lock")
        with engine.store.read() as tx:
            sizes = dict(tx.rows("SELECT name, size FROM limit_row WHERE kind = 'executor'"))
        assert sizes.get("LocalExecutor") == size
        assert sizes["SequentialExecutor"] == 1
    engine.store.close()


def test_a_full_executor_takes_no_more(engine):
    with engine.store.write("audit") as tx:
        limits.set_size(tx, "executor", "LocalExecutor", 3)
    start(engine, wide("a", 5), wide("b", 5))
    assert max(most_at_once(engine).values()) <= 3


@pytest.mark.parametrize(
    ("size_of", "code"),
    [("pool", "I9"), ("dag_tasks", "I10"), ("executor", "I10"), ("task", "I10"), ("run_task", "I10")],
)
def test_a_limit_that_was_exceeded_is_found(tmp_path, size_of, code):
    engine = Engine.create(tmp_path / "home")
    with engine.store.write("audit") as tx:
        limits.set_size(tx, "executor", "LocalExecutor", 9)
    task = TaskSpec("t", "Test", max_active_tis_per_dag=9, max_active_tis_per_dagrun=9)
    start(engine, DagSpec("d", (task,), max_active_tasks=9))
    settle(engine)
    engine.check()
    with engine.store.write("audit") as tx:
        for table in ("limit_history", "limit_row"):
            tx.many(f"UPDATE {table} SET size = 0 WHERE kind = ?", [(size_of,)])
    assert [finding.invariant for finding in verify(engine.store)] == [code]
    engine.store.close()


def database_files(engine: Engine) -> list[tuple[int, int]]:
    home = engine.settings.core.home
    found = (path.stat() for path in sorted(home.glob("orch.db*")) if not path.name.endswith("-shm"))
    return [(stat.st_size, stat.st_mtime_ns) for stat in found]


def test_an_idle_scheduler_writes_nothing_while_many_wait(engine):
    set_pool(engine, 2)
    start(
        engine,
        wide("a", 300),
        wide("b", 300, most=1),
        wide("c", 5, pool="nosuch"),
        wide("e", 2, pool_slots=9),
    )
    settle(engine)
    before = database_files(engine)
    assert [engine.scheduler.run_once() for _ in range(5)] == [0] * 5
    assert database_files(engine) == before


def steps(engine: Engine, batch: int = 1) -> int:
    """Count the steps of SQLite's machine, in hundreds, that planning an admission takes."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    with engine.store.read() as tx:
        tx.driver.set_progress_handler(step, 100)
        plan_admission(tx, batch)
        tx.driver.set_progress_handler(None, 0)
    return count


def block(engine: Engine, dag_id: str, count: int, by: str) -> None:
    """Let so many task instances wait for one limit."""
    if by == "task":
        task = TaskSpec("t", "Test", max_active_tis_per_dag=1)
        engine.add_dag(DagSpec(dag_id, (task,), max_active_runs=count, max_active_tasks=count))
        for number in range(count):
            engine.trigger(dag_id, f"r{number}")
    else:
        values: dict[str, dict[str, object]] = {
            "pool": {"pool": "full"}, "executor": {"executor": "Full"}, "too wide": {"pool_slots": 500},
        }  # fmt: skip
        start(engine, wide(dag_id, count, most=1 if by == "dag" else 100_000, **values.get(by, {})))
    settle(engine)


@pytest.mark.parametrize("by", ["pool", "dag", "task", "executor", "too wide"])
def test_planning_costs_the_same_whatever_number_is_blocked(engine, by):
    set_pool(engine, 0, "full")
    with engine.store.write("audit") as tx:
        limits.set_size(tx, "executor", "Full", 0)
    block(engine, "few", 10, by)
    few = steps(engine)
    block(engine, "many", 500, by)
    assert steps(engine) <= 3 * few + 5


@pytest.mark.parametrize("name", ["_POOLS", "_EXECUTORS", "_DAGS", "_HEADS", "_MEMBERS"])
def test_each_read_is_served_by_the_index_of_those_who_wait(engine, name):
    sql = getattr(admission, name)
    values: dict[str, tuple[object, ...]] = {
        "_POOLS": (), "_EXECUTORS": ("default",), "_DAGS": ("default", "x", 0, 9),
        "_HEADS": ("default", "x", "[1]"), "_MEMBERS": ("p", "x", 1, "", 0, 0, 9),
    }  # fmt: skip
    with engine.store.read() as tx:
        plan = [row[3] for row in tx.rows(f"EXPLAIN QUERY PLAN {sql}", values[name])]
    looks = [line for line in plan if line.startswith(("SCAN", "SEARCH"))]
    assert any("ix_task_instance_waiting" in line for line in looks)
    assert not [line for line in looks if line.startswith("SCAN task_instance")]


def test_the_ageing_of_the_settings_counts_for_runs_of_every_process(tmp_path):
    engine = Engine.create(tmp_path / "home")
    engine.add_dag(wide("d", 1, priority_weight=4))
    engine.trigger("d", "before")
    settings = load_settings(tmp_path / "home", {"ORCH_SCHEDULER_AGEING_SECONDS": "60"})
    Scheduler(settings, engine.store, engine.plugins)._register("nowhere", tmp_path / "lock")
    engine.trigger("d", "after")
    with engine.store.read() as tx:
        starts = tx.rows("SELECT head_start FROM task_instance ORDER BY id")
    assert starts == [(7_200_000_000,), (120_000_000,)]
    engine.store.close()


def test_what_waited_before_the_migration_gets_its_lane_and_head_start(tmp_path):
    engine = Engine.create(tmp_path / "home")
    start(
        engine,
        wide("plain", 1),
        wide("heavy", 1, priority_weight=9, pool_slots=3),
        wide("light", 1, priority_weight=0),
    )
    facts = "SELECT lane, head_start FROM task_instance ORDER BY id"
    with engine.store.read() as tx:
        before = tx.rows(facts)
    engine.store.close()
    migrate.downgrade(engine.settings.database.url, "0001")
    migrate.upgrade(engine.settings.database.url)
    with engine.store.read() as tx:
        assert tx.rows(facts) == before
    assert [lane for lane, _ in before] == ["", "3/3//", "-1/1//"]
    engine.store.close()
