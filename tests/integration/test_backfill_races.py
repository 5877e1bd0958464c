"""Backfills when several act at once: two stores on one database, each step of one between two steps of another."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from tests.integration.harness import spec_of

from orch.domain.backfills import BackfillState
from orch.errors import Conflict, OrchError
from orch.failpoints import FailpointError
from orch.operations import backfill as operations
from orch.operations.backfill_plan import BackfillRequest
from orch.operations.perform import Services
from orch.scheduler.service import Scheduler
from orch.store.engine import Store
from orch.store.queries import backfill_dates, backfills

JANUARY = BackfillRequest("d", date(2023, 1, 1), date(2023, 1, 31), max_active_runs=4)


class StoreWithGuests(Store):
    """Lets somebody else act after a service has looked and before it takes the write lock."""

    before: dict[str, Callable[[], object]]

    def write(self, name):
        if guest := self.before.pop(name, None):
            guest()
        return super().write(name)


@pytest.fixture
def engine(engine):
    engine.add_dag(replace(spec_of({"a": ""}), schedule="0 6 * * *"))
    return engine


@pytest.fixture
def second_store(engine):
    """Another process's way to the same database."""
    store = StoreWithGuests.open(engine.settings.database.url, clock=engine.clock, busy_timeout_seconds=5)
    assert isinstance(store, StoreWithGuests)
    store.before = {}
    yield store
    store.close()


def row_of(engine, backfill_id=1):
    with engine.store.read() as tx:
        return backfills.find(tx, backfill_id)


def runs_of(engine, backfill_id=1):
    with engine.store.read() as tx:
        return backfill_dates.progress(tx, backfill_id).runs


def at_once(*works):
    """Do these at once, each in its thread; return what they gave or raised."""
    barrier = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def do(place, work):
        barrier.wait()
        try:
            results[place] = work()
        except OrchError as error:
            results[place] = error

    threads = [threading.Thread(target=do, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def creator(engine, me, request):
    """Create with a store of its own, opened and closed in the thread that uses it."""

    def create():
        store = Store.open(engine.settings.database.url, clock=engine.clock)
        try:
            return operations.create(Services(store, "LocalExecutor"), me, request)
        finally:
            store.close()

    return create


def test_equal_requests_at_once_make_one_backfill(engine, me):
    results = at_once(*[creator(engine, me, JANUARY) for _ in range(6)])
    assert sorted(result.created for result in results) == [False] * 5 + [True]
    assert {result.backfill.backfill_id for result in results} == {1}


def test_of_overlapping_requests_at_once_one_is_made_and_the_others_are_refused(engine, me):
    requests = [replace(JANUARY, last=date(2023, 1, 20 + n)) for n in range(5)]
    results = at_once(*[creator(engine, me, request) for request in requests])
    assert sum(isinstance(result, Conflict) for result in results) == 4
    assert engine.value("SELECT COUNT(*) FROM backfill") == 1


def test_dates_are_counted_without_the_write_lock(engine, me, second_store):
    def timetable_of(spec):
        with second_store.write("heartbeat"):  # StoreBusy after a while if the lock was held
            return engine.plugins.timetable_of(spec)

    services = Services(engine.store, "LocalExecutor", timetable_of=timetable_of)
    assert operations.create(services, me, JANUARY).created


@pytest.mark.parametrize("change", [operations.pause, operations.cancel])
def test_a_change_between_look_and_lock_stops_the_making_of_runs(engine, services, me, second_store, change):
    operations.create(services, me, JANUARY)
    second_store.before = {"backfill": lambda: change(services, me, 1)}
    Scheduler(engine.settings, second_store, engine.plugins).run_once()
    assert second_store.before == {}
    assert runs_of(engine) == {}


@pytest.mark.parametrize("change", [operations.pause, operations.cancel])
def test_a_change_between_look_and_lock_stops_the_promotion_of_runs(
    engine, services, me, second_store, change
):
    operations.create(services, me, JANUARY)
    second_store.before = {"promote": lambda: change(services, me, 1)}
    Scheduler(engine.settings, second_store, engine.plugins).run_once()
    assert second_store.before == {}
    assert runs_of(engine) == {"queued" if change is operations.pause else "cancelled": 4}
    assert engine.value("SELECT COUNT(*) FROM run_history WHERE new = 'running'") == 0


def test_what_another_scheduler_made_in_between_is_not_made_again(engine, services, me, second_store):
    operations.create(services, me, JANUARY)
    second_store.before = {"backfill": engine.scheduler.run_once}
    Scheduler(engine.settings, second_store, engine.plugins).run_once()
    assert runs_of(engine) == {"running": 4}
    engine.run()


def test_a_cancel_while_schedulers_work_leaves_only_whole_runs(engine, me):
    services = Services(engine.store, "LocalExecutor")
    operations.create(services, me, replace(JANUARY, max_active_runs=8))

    def schedule():
        store = Store.open(engine.settings.database.url, clock=engine.clock)
        scheduler = Scheduler(engine.settings, store, engine.plugins)
        for _ in range(20):
            scheduler.run_once()
        store.close()

    def cancel():
        store = Store.open(engine.settings.database.url, clock=engine.clock)
        try:
            return operations.cancel(Services(store, "LocalExecutor"), me, 1)
        finally:
            store.close()

    *_, result = at_once(schedule, schedule, cancel)
    assert result.changed
    engine.check()
    made = runs_of(engine)
    assert set(made) <= {"running", "cancelled"}
    assert made.get("running", 0) == result.running_runs
    engine.run()
    assert runs_of(engine).get("success", 0) == result.running_runs


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_transaction_that_breaks_is_done_again_and_no_run_is_lost_or_doubled(
    engine, services, me, number, moment
):
    operations.create(services, me, replace(JANUARY, max_active_runs=2))
    hits = iter(range(1, 1000))
    hit = engine.store.failpoints.hit

    def break_one(name):
        if name == f"backfill.{moment}_commit" and next(hits) == number:
            raise FailpointError(name)
        hit(name)

    engine.store.failpoints.hit = break_one
    broken = 0
    for _ in range(200):
        try:
            if not engine.scheduler.run_once() + engine.work():
                break
        except FailpointError:
            broken += 1
    assert broken == 1
    assert runs_of(engine) == {"success": 31}
    assert row_of(engine).state is BackfillState.COMPLETED
