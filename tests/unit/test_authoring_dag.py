"""DAGs: their arguments, their tasks, and what they become for the scheduler."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from orch import DAG, DagDefinitionError, PythonOperator, dag, task
from orch.authoring.arguments import LATER_DAG_ARGUMENTS
from orch.domain.dagspec import DagSpec
from orch.errors import BadInput, CycleError, NotBuiltYet, NotFound


def nothing() -> None:
    """Do nothing."""


def step(task_id: str, **options: Any) -> PythonOperator:
    return PythonOperator(task_id=task_id, python_callable=nothing, **options)


def test_every_argument_reaches_the_spec() -> None:
    spec = DAG(
        "full",
        schedule=" 0  6 * * * ",
        start_date=datetime(2024, 1, 1),
        end_date=datetime(2024, 12, 31),
        timezone="Europe/Paris",
        catchup=True,
        max_active_tasks=3,
        max_active_runs=2,
        tags=["b", "a", "b"],
        description="all of it",
        doc_md="# Full",
        is_paused_upon_creation=True,
    ).to_spec()
    assert spec == DagSpec(
        dag_id="full",
        schedule="0 6 * * *",
        start_date=datetime(2023, 12, 31, 23, tzinfo=UTC),
        end_date=datetime(2024, 12, 30, 23, tzinfo=UTC),
        timezone="Europe/Paris",
        catchup=True,
        max_active_tasks=3,
        max_active_runs=2,
        tags=("a", "b"),
        description="all of it",
        doc="# Full",
        is_paused_upon_creation=True,
    )


def test_a_bare_dag_has_the_defaults() -> None:
    assert DAG("bare").to_spec() == DagSpec(dag_id="bare")


def test_the_order_of_tasks_and_edges_does_not_change_the_hash() -> None:
    hashes = set()
    for order in (["a", "b", "c"], ["c", "b", "a"]):
        with DAG("same") as made:
            tasks = {name: step(name) for name in order}
            for name in order:
                if name != "c":
                    tasks[name] >> tasks["c"]
        hashes.add(made.to_spec().structure_hash)
    assert len(hashes) == 1


def test_the_spec_survives_its_json() -> None:
    with DAG("there_and_back", schedule="@daily", start_date=datetime(2024, 1, 1)) as made:
        step("a", retries=2, execution_timeout=5) >> step("b", trigger_rule="one_failed")
    spec = made.to_spec()
    again = DagSpec.from_json(spec.to_json())
    assert again == spec
    assert again.structure_hash == spec.structure_hash


def test_the_zone_of_the_start_date_is_the_zone_of_the_dag() -> None:
    made = DAG("zoned", start_date=datetime(2024, 7, 1, tzinfo=ZoneInfo("Asia/Tokyo")))
    assert made.to_spec().timezone == "Asia/Tokyo"
    fixed = DAG("fixed", start_date=datetime(2024, 7, 1, tzinfo=timezone(timedelta(hours=2))))
    assert fixed.to_spec().timezone == "UTC"
    assert fixed.to_spec().start_date == datetime(2024, 6, 30, 22, tzinfo=UTC)


@pytest.mark.parametrize("schedule", [None, "@once", "@hourly", "*/5 * * * 1-5"])
def test_valid_schedules_are_accepted(schedule: str | None) -> None:
    assert DAG("scheduled", schedule=schedule).to_spec().schedule == schedule


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": "0 25 * * *"}, "DAG 'x': schedule '0 25 * * *'"),
        ({"schedule": "@dayly"}, "did you mean"),
        ({"start_date": "2024-01-01"}, "start_date must be a datetime, not '2024-01-01'"),
        ({"start_date": datetime(2024, 2, 1), "end_date": datetime(2024, 1, 1)}, "is before start_date"),
        ({"timezone": "Europe/Pari"}, "unknown timezone 'Europe/Pari'; did you mean 'Europe/Paris'?"),
        ({"max_active_tasks": 0}, "max_active_tasks must be a whole number from 1 to"),
        ({"max_active_runs": True}, "max_active_runs must be a whole number"),
        ({"catchup": "yes"}, "catchup must be True or False, not 'yes'"),
        ({"tags": "daily"}, "tags must be a list of names, not 'daily'"),
        ({"default_args": ["retries"]}, "default_args must be a dict"),
        ({"default_args": {"task_id": "a"}}, "'task_id' cannot be the same for all tasks"),
        ({"description": "\ud800"}, "description must be a text without lone surrogates"),
        ({"shedule": None}, "DAG 'x': unknown argument 'shedule'; did you mean 'schedule'?"),
        ({"schedule_interval": "@daily"}, "unknown argument 'schedule_interval'; its name is 'schedule'"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DagDefinitionError) as caught:
        DAG("x", **arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize("dag_id", ["", "a b", "../etc", "-x", 7, "x" * 251])
def test_an_impossible_dag_id_is_refused(dag_id: Any) -> None:
    with pytest.raises(BadInput, match="DAG id"):
        DAG(dag_id)


@pytest.mark.parametrize("name", sorted(LATER_DAG_ARGUMENTS))
def test_arguments_of_later_releases_are_refused_by_name(name: str) -> None:
    with pytest.raises(
        NotBuiltYet, match=f"DAG 'x': '{name}' comes in a later release of orch; leave it out"
    ):
        DAG("x", **dict[str, Any]({name: "anything"}))
    DAG("x", **dict[str, Any]({name: None}))  # says that the feature is not wanted


def test_default_args_are_given_to_tasks_that_do_not_say_otherwise() -> None:
    with DAG("x", default_args={"retries": 4, "owner": "ana"}):
        plain, own = step("plain"), step("own", retries=0)
    assert (plain.retries, plain.owner) == (4, "ana")
    assert (own.retries, own.owner) == (0, "ana")


def test_default_args_reach_taskflow_functions() -> None:
    with DAG("x", default_args={"retries": 4}) as made:
        task(nothing)()
    assert made.get_task("nothing").retries == 4


def test_default_args_carry_the_start_date_of_the_dag() -> None:
    made = DAG("x", default_args={"start_date": datetime(2024, 1, 1)})
    assert made.to_spec().start_date == datetime(2024, 1, 1, tzinfo=UTC)


def test_default_args_that_turn_features_off_are_accepted() -> None:
    with DAG("x", default_args={"depends_on_past": False, "email_on_failure": False}) as made:
        step("a")
    assert made.to_spec().tasks[0].task_id == "a"


def test_default_args_of_later_releases_are_refused_by_name() -> None:
    with pytest.raises(NotBuiltYet, match="default_args of DAG 'x': 'email' comes in a later"):
        DAG("x", default_args={"email": "a@b.c"})


def test_a_misspelt_default_arg_is_named_with_the_right_one() -> None:
    with DAG("x", default_args={"retrys": 2}) as made:
        step("a")
    with pytest.raises(DagDefinitionError, match=r"no task takes 'retrys'; did you mean 'retries'\?"):
        made.to_spec()


def test_a_default_arg_for_operators_of_other_dags_is_ignored() -> None:
    with DAG("x", default_args={"warehouse_connection": "main"}) as made:
        step("a")
    assert len(made.to_spec().tasks) == 1


def test_a_default_arg_that_some_task_takes_is_no_mistake() -> None:
    class Patient(PythonOperator):
        def __init__(self, *, retrys: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.retrys = retrys

    with DAG("x", default_args={"retrys": 2}) as made:
        Patient(task_id="a", python_callable=nothing, retrys=3)
    assert len(made.to_spec().tasks) == 1


def test_a_cycle_is_named_with_its_dag() -> None:
    with DAG("round") as made:
        a, b, c = step("a"), step("b"), step("c")
        a >> b >> c >> a
    with pytest.raises(CycleError) as caught:
        made.to_spec()
    assert str(caught.value) == "DAG 'round' has a cycle: a -> b -> c -> a; remove one of these edges"
    assert caught.value.path == ["a", "b", "c", "a"]


def test_a_task_that_waits_for_itself_is_a_cycle() -> None:
    with DAG("x") as made:
        a = step("a")
        a >> a
    with pytest.raises(CycleError, match="a -> a"):
        made.to_spec()


def test_two_tasks_of_one_id_are_refused() -> None:
    with DAG("x"):
        step("a")
        with pytest.raises(DagDefinitionError, match="DAG 'x' has a task 'a' already"):
            step("a")


def test_an_unknown_task_is_named_with_the_nearest() -> None:
    with DAG("x") as made:
        step("transform")
    with pytest.raises(NotFound, match=r"DAG 'x' has no task 'transfrom'; did you mean 'transform'\?"):
        made.get_task("transfrom")


def test_tasks_join_the_innermost_open_dag() -> None:
    with DAG("outer") as outer:
        step("a")
        with DAG("inner") as inner:
            step("b")
        step("c")
    assert (outer.task_ids, inner.task_ids) == (["a", "c"], ["b"])
    assert "a" in outer
    assert "b" not in outer


def test_a_task_can_be_given_its_dag() -> None:
    made = DAG("x")
    assert step("a", dag=made).dag is made
    assert made.task_ids == ["a"]


def test_an_error_in_the_block_leaves_no_dag_open() -> None:
    with pytest.raises(ZeroDivisionError), DAG("x"):
        1 / 0  # noqa: B018
    assert step("a").dag is None


def test_the_decorator_makes_a_dag_of_a_function() -> None:
    @dag(schedule="@daily", tags=["t"])
    def report() -> None:
        """Write the report."""
        step("a") >> step("b")

    made = report()
    spec = made.to_spec()
    assert (spec.dag_id, spec.doc, spec.schedule, spec.tags) == (
        "report",
        "Write the report.",
        "@daily",
        ("t",),
    )
    assert made.task_ids == ["a", "b"]
    assert dag(nothing)().dag_id == "nothing"
    assert dag(dag_id="other")(nothing)().dag_id == "other"


def test_the_decorator_refuses_what_it_cannot_do_yet() -> None:
    def parametrised(day: str) -> None:
        print(day)

    with pytest.raises(NotBuiltYet, match="@dag function 'parametrised': parameters come in a later release"):
        dag(parametrised)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(DagDefinitionError, match="name the DAG with dag_id="):
        dag("report")  # type: ignore[call-overload]  # the mistake under test


def test_a_dag_shows_itself() -> None:
    with DAG("x", schedule="@daily") as made:
        step("a")
    assert repr(made) == "<DAG 'x' with 1 task, schedule '@daily'>"
    assert repr(made.get_task("a")) == "<PythonOperator 'a' of DAG 'x'>"
