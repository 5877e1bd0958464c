"""Trigger as an operation: one transaction that authorises, acts and leaves its audit row, refused or done."""

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.integration.harness import Engine, spec_of

from orch.errors import BadInput, Conflict, NotFound, OrchError
from orch.failpoints import FailpointError, Failpoints
from orch.operations.actor import Actor, local_actor
from orch.operations.authorise import Forbidden
from orch.operations.perform import Services
from orch.operations.trigger import TriggerRequest, trigger
from orch.store.engine import Store
from orch.store.queries import audit, reading

ADA = Actor("ada")


@pytest.fixture
def engine(tmp_path):
    engine = Engine.create(tmp_path / "home")
    engine.add_dag(spec_of({"a": "", "b": "a"}, "pair"))
    yield engine
    engine.check()
    engine.store.close()


def services(engine, wake=lambda: None):
    return Services(engine.store, "LocalExecutor", wake)


def runs_of(engine, dag_id="pair"):
    with engine.store.read() as tx:
        return reading.list_runs(tx, dag_id)


def audit_of(engine):
    with engine.store.read() as tx:
        return [entry for _, entry in audit.newest(tx)]


def test_a_trigger_makes_a_queued_manual_run_that_names_its_actor(engine):
    created = trigger(services(engine), ADA, TriggerRequest("pair", conf={"day": 1}))
    (run,) = runs_of(engine)
    assert created.created
    assert (run.run_id, run.state, run.run_type, run.triggered_by) == (
        created.run_id,
        "queued",
        "manual",
        "ada",
    )
    assert run.conf == {"day": 1}
    assert run.logical_date is None


def test_a_run_without_a_name_is_named_after_its_time(engine):
    created = trigger(services(engine), ADA, TriggerRequest("pair"))
    (run,) = runs_of(engine)
    assert created.run_id.startswith("manual__2024-01-01T12:00:00.")
    assert run.created_at == datetime.fromisoformat(created.run_id.removeprefix("manual__"))


def test_two_triggers_make_two_runs(engine):
    names = {trigger(services(engine), ADA, TriggerRequest("pair")).run_id for _ in range(5)}
    assert len(names) == len(runs_of(engine)) == 5


def test_a_done_trigger_is_audited_without_the_values_of_its_conf(engine):
    created = trigger(services(engine), ADA, TriggerRequest("pair", conf={"password": "hunter2"}))
    (entry,) = audit_of(engine)
    assert (entry.actor, entry.action, entry.target, entry.result) == ("ada", "dag.trigger", "pair", "done")
    assert entry.detail == {"run_id": created.run_id, "created": True, "conf_keys": ["password"]}


def test_an_unknown_dag_is_refused_with_the_nearest_name_and_audited(engine):
    with pytest.raises(NotFound, match="unknown DAG 'pear'; did you mean 'pair'"):
        trigger(services(engine), ADA, TriggerRequest("pear"))
    (entry,) = audit_of(engine)
    assert (entry.action, entry.target, entry.result) == ("dag.trigger", "pear", "refused")
    assert "did you mean" in entry.detail["error"]


def test_a_taken_run_id_is_a_conflict(engine):
    trigger(services(engine), ADA, TriggerRequest("pair", run_id="mine"))
    with pytest.raises(Conflict, match="run 'mine' of DAG 'pair' exists already"):
        trigger(services(engine), ADA, TriggerRequest("pair", run_id="mine"))
    assert [entry.result for entry in audit_of(engine)] == ["refused", "done"]


@pytest.mark.parametrize(
    "run_id", ["scheduled__2024", "backfill__x", "asset__x", "", "../x", "a b", "x" * 251]
)
def test_run_ids_that_are_reserved_or_unsafe_are_bad_input(engine, run_id):
    with pytest.raises(BadInput):
        trigger(services(engine), ADA, TriggerRequest("pair", run_id=run_id))
    assert runs_of(engine) == []


def test_the_same_key_and_request_give_the_first_run_again(engine):
    request = TriggerRequest("pair", conf={"n": 1}, idempotency_key="k1")
    first = trigger(services(engine), ADA, request)
    again = trigger(services(engine), ADA, request)
    assert (again.run_id, again.created) == (first.run_id, False)
    assert len(runs_of(engine)) == 1


def test_the_same_key_with_another_request_is_a_conflict(engine):
    trigger(services(engine), ADA, TriggerRequest("pair", conf={"n": 1}, idempotency_key="k1"))
    with pytest.raises(Conflict, match="idempotency key 'k1'"):
        trigger(services(engine), ADA, TriggerRequest("pair", conf={"n": 2}, idempotency_key="k1"))
    assert len(runs_of(engine)) == 1


def test_many_triggers_at_once_with_one_key_make_one_run(engine):
    url, clock = engine.settings.database.url, engine.clock
    made, errors = [], []
    start = threading.Barrier(8)

    def ask():
        store = Store.open(url, clock=clock)
        start.wait()
        try:
            request = TriggerRequest("pair", idempotency_key="once")
            made.append(trigger(Services(store, "LocalExecutor"), ADA, request))
        except OrchError as error:
            errors.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len({run.run_id for run in made}) == 1
    assert sum(run.created for run in made) == 1


def test_a_logical_date_is_kept_and_is_its_own_interval(engine):
    date = datetime(2023, 5, 1, tzinfo=UTC)
    trigger(services(engine), ADA, TriggerRequest("pair", logical_date=date))
    (run,) = runs_of(engine)
    assert run.logical_date == date
    assert engine.value("SELECT data_interval_start = data_interval_end FROM dag_run") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"logical_date": datetime.fromisoformat("0001-01-01T00:00:00+14:00")},
        {"logical_date": datetime.fromisoformat("9999-12-31T23:59:59-12:00")},
        {"conf": {"a": float("nan")}},
        {"conf": {"a": "\ud800"}},
        {"conf": [1]},
        {"idempotency_key": "\udcff"},
        {"note": "a\0b"},
        {"dag_id": "\udcff"},
    ],
)
def test_what_no_reader_could_read_back_is_bad_input(engine, wrong):
    with pytest.raises(BadInput):
        trigger(services(engine), ADA, TriggerRequest(**{"dag_id": "pair", **wrong}))
    assert runs_of(engine) == []


def test_the_deepest_conf_and_the_oldest_date_run_to_their_end(engine):
    value: object = 1
    for _ in range(99):
        value = [value]
    date = datetime(1900, 1, 1, tzinfo=UTC)
    created = trigger(services(engine), ADA, TriggerRequest("pair", conf={"a": value}, logical_date=date))
    engine.run()
    assert engine.run_state(created.run_id) == "success"


def test_a_dag_whose_file_is_gone_cannot_be_triggered(engine):
    with engine.store.write("register_dags") as tx:
        tx.many("UPDATE dag SET is_missing = 1 WHERE dag_id = ?", [("pair",)])
    with pytest.raises(Conflict, match=r"pair\.py has it no more"):
        trigger(services(engine), ADA, TriggerRequest("pair"))


def test_an_actor_without_a_name_is_refused(engine):
    with pytest.raises(Forbidden):
        trigger(services(engine), Actor(""), TriggerRequest("pair"))
    assert runs_of(engine) == []


def test_schedulers_are_woken_only_by_what_was_done(engine):
    woken = []
    trigger(services(engine, lambda: woken.append(1)), ADA, TriggerRequest("pair"))
    with pytest.raises(NotFound):
        trigger(services(engine, lambda: woken.append(2)), ADA, TriggerRequest("nope"))
    assert woken == [1]


@pytest.mark.parametrize("moment", ["begin", "before_commit"])
def test_a_failure_before_the_commit_leaves_nothing(engine, moment):
    engine.store.failpoints = Failpoints({f"create_run.{moment}": "error"})
    with pytest.raises(FailpointError):
        trigger(services(engine), ADA, TriggerRequest("pair"))
    engine.store.failpoints = Failpoints()
    assert runs_of(engine) == []


def test_the_triggered_run_runs_to_its_end(engine):
    created = trigger(services(engine), ADA, TriggerRequest("pair"))
    engine.run()
    assert engine.run_state(created.run_id) == "success"


def test_the_local_actor_has_a_name():
    assert local_actor().name


def test_a_logical_date_without_an_offset_is_read_in_the_zone_of_the_dag(engine):
    engine.add_dag(replace(spec_of({"a": ""}, "berlin"), timezone="Europe/Berlin"))
    naive = datetime(2026, 7, 1, 2, 30)
    trigger(services(engine), ADA, TriggerRequest("berlin", logical_date=naive))
    (run,) = runs_of(engine, "berlin")
    assert run.logical_date == datetime(2026, 7, 1, 0, 30, tzinfo=UTC)
