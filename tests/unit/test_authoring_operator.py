"""Operators: common arguments, classes that strangers derive, and results in their fields."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from orch import DAG, BaseOperator, DagDefinitionError, PythonOperator
from orch.authoring.arguments import LATER_TASK_ARGUMENTS
from orch.authoring.inputs import resolve_inputs
from orch.domain.dagspec import RetrySpec, TaskSpec
from orch.errors import BadInput, NotBuiltYet


class Copy(BaseOperator):
    """What a stranger writes after reading the docstring of BaseOperator."""

    template_fields: ClassVar[Sequence[str]] = ("source", "options")

    def __init__(self, *, source: Any, target: Any = None, options: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.target = target
        self.options = options

    def execute(self, context: Mapping[str, Any]) -> Any:
        return self.source


class FarCopy(Copy):
    def __init__(self, host: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.host = host


def test_every_option_reaches_the_spec() -> None:
    with DAG("x") as made:
        Copy(
            task_id="full",
            source="a",
            retries=3,
            retry_delay=timedelta(seconds=7),
            retry_exponential_backoff=True,
            max_retry_delay=60,
            execution_timeout=1.5,
            trigger_rule="all_done",
            pool="disk",
            pool_slots=2,
            priority_weight=-5,
            queue="big",
            executor="LocalExecutor",
            owner="ana",
            doc_md="Copies.",
        )
    assert made.to_spec().tasks == (
        TaskSpec(
            task_id="full",
            operator="Copy",
            retry=RetrySpec(retries=3, delay_seconds=7.0, multiplier=2.0, max_delay_seconds=60.0),
            execution_timeout_seconds=1.5,
            trigger_rule="all_done",
            pool="disk",
            pool_slots=2,
            priority_weight=-5,
            queue="big",
            executor="LocalExecutor",
            owner="ana",
            doc="Copies.",
        ),
    )


def test_a_bare_task_has_the_defaults_of_the_spec() -> None:
    assert Copy(task_id="bare", source="a").to_spec() == TaskSpec(task_id="bare", operator="Copy")


@pytest.mark.parametrize(("given", "multiplier"), [(False, 1.0), (0, 1.0), (True, 2.0), (1.5, 1.5)])
def test_backoff_is_a_switch_or_a_factor(given: float, multiplier: float) -> None:
    spec = Copy(task_id="a", source="a", retry_exponential_backoff=given).to_spec()
    assert spec.retry.multiplier == multiplier


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"trigger_rule": "all_sucess"},
            "task 'load' of DAG 'x': unknown trigger rule 'all_sucess'; did you mean 'all_success'?",
        ),
        ({"trigger_rule": "bogus!"}, "unknown trigger rule 'bogus!'; known: all_success, all_failed"),
        ({"retrys": 3}, "task 'load' of DAG 'x': unknown argument 'retrys'; did you mean 'retries'?"),
        ({"sourcee": "a"}, "unknown argument 'sourcee'; did you mean 'source'?"),
        ({"retries": -1}, "retries must be a whole number from 0 to"),
        ({"retries": 1.5}, "not 1.5"),
        ({"retries": True}, "not True"),
        ({"retry_delay": -1}, "retry_delay must be a timedelta or a number of seconds, not negative, not -1"),
        ({"retry_delay": float("nan")}, "retry_delay must be"),
        ({"retry_delay": 1e300}, "retry_delay must be shorter"),
        ({"retry_exponential_backoff": 0.5}, "must be True, False or a factor from 1 up"),
        ({"execution_timeout": 0}, "execution_timeout must be longer than nothing"),
        ({"execution_timeout": "1h"}, "not '1h'"),
        ({"execution_timeout": timedelta.max}, "and at most 36500 days"),
        ({"pool": ""}, "pool must be a name"),
        ({"pool_slots": 0}, "pool_slots must be a whole number from 1 to"),
        ({"priority_weight": 2**31}, "priority_weight must be"),
        ({"queue": "a\nb"}, "queue must be a name"),
        ({"executor": 5}, "executor must be a name"),
        ({"do_xcom_push": 1}, "do_xcom_push must be True or False"),
        ({"owner": None}, "owner must be a text"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DagDefinitionError) as caught, DAG("x"):
        Copy(task_id="load", source="a", **arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", sorted(LATER_TASK_ARGUMENTS))
def test_arguments_of_later_releases_are_refused_by_name(name: str) -> None:
    with pytest.raises(NotBuiltYet, match=f"task 'load': '{name}' comes in a later release of orch"):
        Copy(task_id="load", source="a", **{name: True})
    Copy(task_id="load", source="a", **{name: False})


@pytest.mark.parametrize("task_id", ["", "a b", "a/b", None])
def test_an_impossible_task_id_is_refused(task_id: Any) -> None:
    with pytest.raises(BadInput, match="task id"):
        Copy(task_id=task_id, source="a")


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(DagDefinitionError, match="Copy 'load': missing a required argument: 'source'"):
        Copy(task_id="load")  # type: ignore[call-arg]  # the mistake under test


def test_arguments_without_names_are_refused() -> None:
    with pytest.raises(
        DagDefinitionError, match="Copy: too many positional arguments; give the arguments by name"
    ):
        Copy("load", "a")  # type: ignore[call-arg]  # the mistake under test


def test_a_misspelt_argument_explains_better_than_the_missing_one() -> None:
    with pytest.raises(DagDefinitionError, match=r"unknown argument 'sorce'; did you mean 'source'\?"):
        Copy(task_id="load", sorce="a")  # type: ignore[call-arg]  # the mistake under test


def test_a_type_error_of_the_authors_own_code_stays_what_it_is() -> None:
    class Broken(Copy):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            len(5)  # type: ignore[arg-type]  # the mistake under test

    with pytest.raises(TypeError, match="has no len"):
        Broken(task_id="load", source="a")


def test_a_class_may_take_its_own_arguments_out_of_kwargs() -> None:
    class Lenient(Copy):
        def __init__(self, **kwargs: Any) -> None:
            self.speed = kwargs.pop("speed")
            super().__init__(**kwargs)

    assert Lenient(task_id="a", source="a", speed=3).speed == 3


def test_default_args_fill_arguments_of_derived_classes_too() -> None:
    with DAG("x", default_args={"host": "h", "source": "s", "retries": 1}):
        by_name = FarCopy(task_id="a")  # type: ignore[call-arg]  # the default fills it
        by_position = FarCopy("own", task_id="b")
    assert (by_name.host, by_name.source, by_name.retries) == ("h", "s", 1)
    assert by_position.host == "own"


def test_a_class_without_execute_is_refused() -> None:
    class Idle(BaseOperator):
        pass

    with pytest.raises(DagDefinitionError, match=r"Idle has no `execute\(self, context\)`; add one"):
        Idle(task_id="a")


def test_a_class_that_forgets_its_base_is_told_so() -> None:
    class Orphan(Copy):
        def __init__(self) -> None:
            pass

    with pytest.raises(DagDefinitionError, match=r"Orphan.__init__ must call super\(\).__init__"):
        Orphan()


def test_a_task_that_fails_to_construct_is_not_in_the_dag() -> None:
    with DAG("x") as made, pytest.raises(DagDefinitionError):
        Copy(task_id="load", source="a", pool_slots=0)
    assert made.task_ids == []


def test_results_in_template_fields_make_edges_and_inputs() -> None:
    with DAG("x") as made:
        first, second = Copy(task_id="first", source="a"), Copy(task_id="second", source="b")
        Copy(task_id="last", source=first.output, options={"deep": [("x", second.output)]})
    last = made.to_spec().by_id["last"]
    assert last.upstream == ("first", "second")
    assert last.inputs == (("first", "return_value"), ("second", "return_value"))


def test_a_result_set_after_construction_still_makes_an_edge() -> None:
    with DAG("x") as made:
        first, last = Copy(task_id="first", source="a"), Copy(task_id="last", source="b")
        last.source = first.output
    assert made.to_spec().by_id["last"].upstream == ("first",)


def test_a_result_outside_of_template_fields_is_refused_with_the_remedy() -> None:
    with DAG("x"):
        first = Copy(task_id="first", source="a")
        with pytest.raises(DagDefinitionError) as caught:
            Copy(task_id="last", source="b", target=[first.output])
    assert "task 'last' of DAG 'x': its attribute 'target' holds the result of task 'first'" in str(
        caught.value
    )
    assert "add 'target' to template_fields of Copy" in str(caught.value)


def test_a_task_in_place_of_its_result_is_refused_with_the_remedy() -> None:
    with DAG("x"):
        first = Copy(task_id="first", source="a")
        with pytest.raises(DagDefinitionError, match=r"for its result write first\.output"):
            Copy(task_id="last", source=first)


def test_template_fields_that_do_not_exist_are_named() -> None:
    class Typo(Copy):
        template_fields = ("sourc",)

    class Text(Copy):
        template_fields = "source"

    with pytest.raises(DagDefinitionError, match=r"names 'sourc', but .+ did you mean 'source'\?"):
        Typo(task_id="a", source="a")
    with pytest.raises(DagDefinitionError, match=r"make it a tuple: \('source',\)"):
        Text(task_id="a", source="a")


def test_resolving_gives_a_copy_with_values_and_leaves_the_task_alone() -> None:
    with DAG("x"):
        first = Copy(task_id="first", source="a")
        last = Copy(task_id="last", source=first.output, options={"deep": [first.output, 1]})
    resolved = resolve_inputs(last, lambda argument: f"value of {argument.operator.task_id}")
    assert isinstance(resolved, Copy)
    assert resolved.source == "value of first"
    assert resolved.options == {"deep": ["value of first", 1]}
    assert last.source is not resolved.source


def test_a_task_outside_of_a_dag_can_be_tried_out() -> None:
    lonely = Copy(task_id="lonely", source="a")
    assert lonely.execute({}) == "a"
    assert repr(lonely) == "<Copy 'lonely'>"
    with pytest.raises(DagDefinitionError, match="task 'lonely' belongs to no DAG"):
        lonely >> Copy(task_id="other", source="b")


def test_an_option_changed_to_nonsense_after_construction_is_found() -> None:
    with DAG("x") as made:
        Copy(task_id="a", source="a").retries = -3
    with pytest.raises(DagDefinitionError, match="task 'a' of DAG 'x': retries must be"):
        made.to_spec()


def test_python_operator_checks_its_arguments_at_once() -> None:
    def load(rows: list[int], *, table: str) -> None:
        print(rows, table)

    def operator(**arguments: Any) -> PythonOperator:
        return PythonOperator(task_id="load", python_callable=load, **arguments)

    assert operator(op_args=[[1]], op_kwargs={"table": "t"}).execute({}) is None
    with pytest.raises(DagDefinitionError, match=r"has no parameter 'tabel'; did you mean 'table'\?"):
        operator(op_args=[[1]], op_kwargs={"tabel": "t"})
    with pytest.raises(
        DagDefinitionError, match="task 'load': the function 'load' lacks the argument 'table'"
    ):
        operator(op_args=[[1]])
    with pytest.raises(DagDefinitionError, match="too many positional arguments"):
        operator(op_args=[1, 2, 3])
    with pytest.raises(DagDefinitionError, match="op_args must be a list, not 'rows'"):
        operator(op_args="rows")
    with pytest.raises(DagDefinitionError, match="op_kwargs must be a dict"):
        operator(op_kwargs=["table"])
    with pytest.raises(DagDefinitionError, match="is not callable"):
        PythonOperator(task_id="load", python_callable="load")  # type: ignore[arg-type]  # the mistake under test


def test_python_operator_takes_whole_arguments_from_a_result() -> None:
    with DAG("x") as made:
        first = Copy(task_id="first", source={"rows": [1]})
        PythonOperator(task_id="last", python_callable=print, op_kwargs=first.output)
    assert made.to_spec().by_id["last"].inputs == (("first", "return_value"),)


def test_async_functions_are_refused_by_name() -> None:
    async def later() -> None:
        pass

    with pytest.raises(NotBuiltYet, match="async functions come in a later release"):
        PythonOperator(task_id="a", python_callable=later)
