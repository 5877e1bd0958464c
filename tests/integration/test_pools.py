"""Pools: made, resized and deleted while tasks use them."""

import pytest
from tests.integration.harness import spec_of

from orch.domain.dagspec import DagSpec, TaskSpec
from orch.errors import BadInput, Conflict, NotFound
from orch.operations.pools import delete_pool, set_pool
from orch.store.queries.pools import find_pool, list_pools


def pool(engine, name):
    with engine.store.read() as tx:
        return find_pool(tx, name)


def test_a_new_pool_is_listed_with_what_is_taken_of_it(engine, services, me):
    set_pool(services, me, "db", 3, "connections of the warehouse")
    engine.add_dag(DagSpec("d", tuple(TaskSpec(f"t{n}", "Test", pool="db", pool_slots=2) for n in range(3))))
    engine.trigger("d")
    engine.scheduler.run_once()
    row = pool(engine, "db")
    assert (row.slots, row.queued, row.running, row.free, row.waiting) == (3, 2, 0, 1, 4)
    assert row.saturated_since is not None
    engine.run()
    assert engine.run_state() == "success"


def test_a_larger_pool_lets_more_run_at_once_and_a_smaller_one_takes_nothing_back(engine, services, me):
    set_pool(services, me, "db", 1)
    engine.add_dag(spec_of({f"t{n}": "" for n in range(4)}, pool="db"))
    engine.trigger("d")
    engine.scheduler.run_once()
    assert pool(engine, "db").queued == 1
    set_pool(services, me, "db", 3)
    engine.scheduler.run_once()
    assert pool(engine, "db").queued == 3
    set_pool(services, me, "db", 1)
    engine.scheduler.run_once()
    assert (pool(engine, "db").queued, pool(engine, "db").free) == (3, 0)
    engine.run()
    assert engine.run_state() == "success"


def test_a_pool_without_slots_stops_its_tasks_and_minus_one_lifts_the_limit(engine, services, me):
    set_pool(services, me, "db", 0)
    engine.add_dag(spec_of({"a": ""}, pool="db"))
    engine.trigger("d")
    engine.run()
    assert engine.states() == {"a": "scheduled"}
    assert set_pool(services, me, "db", -1).free is None
    engine.run()
    assert engine.run_state() == "success"


def test_a_pool_in_use_and_the_default_pool_cannot_be_deleted(engine, services, me):
    set_pool(services, me, "db", 1)
    engine.add_dag(spec_of({"a": ""}, pool="db"))
    engine.trigger("d")
    engine.scheduler.run_once()
    with pytest.raises(Conflict, match="in use: 1 slots"):
        delete_pool(services, me, "db")
    with pytest.raises(Conflict, match="'default' cannot be deleted"):
        delete_pool(services, me, "default")
    engine.run()
    delete_pool(services, me, "db")
    assert pool(engine, "db") is None


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 300])
def test_a_name_that_is_no_id_is_refused(services, me, name):
    with pytest.raises(BadInput, match="pool id"):
        set_pool(services, me, name, 1)


def test_a_size_below_minus_one_is_refused(services, me):
    with pytest.raises(BadInput, match="-2 slots"):
        set_pool(services, me, "db", -2)
    with pytest.raises(BadInput, match="too many; use at most 2147483647"):
        set_pool(services, me, "db", 10**20)


def test_an_unknown_pool_is_named_with_the_nearest(services, me):
    set_pool(services, me, "warehouse", 1)
    with pytest.raises(NotFound, match="did you mean 'warehouse'"):
        delete_pool(services, me, "warehose")


def test_a_new_database_has_the_default_pool_of_the_settings(engine):
    with engine.store.read() as tx:
        assert [(row.name, row.slots) for row in list_pools(tx)] == [("default", 128)]
