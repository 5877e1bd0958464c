"""TaskFlow: functions as tasks, their results as arguments."""

from typing import Any

import pytest

from orch import DAG, DagDefinitionError, XComArg, task
from orch.authoring.taskflow import TaskFlowOperator
from orch.errors import NotBuiltYet


def extract() -> list[int]:
    """Return three numbers.

    They are always the same.
    """
    return [1, 2, 3]


def test_a_call_adds_a_task_and_returns_its_result() -> None:
    with DAG("x") as made:
        result = task(extract)()
    assert isinstance(result, XComArg)
    assert result.operator is made.get_task("extract")
    assert repr(result) == "<result of task 'extract'>"
    spec = made.to_spec().by_id["extract"]
    assert (spec.operator, spec.doc) == ("@task", "Return three numbers.\n\nThey are always the same.")


def test_all_spellings_make_the_same_task() -> None:
    with DAG("x") as made:
        task(extract)()
        task()(extract).override(task_id="b", retries=2)()
        task(task_id="c", retries=2)(extract)()
        task(retries=1)(extract).override(task_id="d", retries=2)()
    assert made.task_ids == ["extract", "b", "c", "d"]
    assert [one.retries for one in made.tasks] == [0, 2, 2, 2]


def test_override_leaves_the_original_alone() -> None:
    original = task(retries=1)(extract)
    original.override(retries=9)
    with DAG("x") as made:
        original()
    assert made.get_task("extract").retries == 1


def test_a_function_called_again_gets_a_numbered_id() -> None:
    with DAG("x") as made:
        for _ in range(3):
            task(extract)()
        task(task_id="extract__4")(extract)()
        task(extract)()
        task(extract)()
    assert made.task_ids == ["extract", "extract__1", "extract__2", "extract__4", "extract__3", "extract__5"]


def test_results_nested_in_arguments_make_edges() -> None:
    @task
    def add(*numbers: Any, **named: Any) -> int:
        return len(numbers) + len(named)

    with DAG("x") as made:
        a, b, c = add(), add(), add()
        add(a, [b], deep={"k": (c, {"l": a})})
    spec = made.to_spec().by_id["add__3"]
    assert spec.upstream == ("add", "add__1", "add__2")
    assert spec.inputs == tuple((name, "return_value") for name in ("add", "add__1", "add__2"))


def test_the_decorated_function_stays_reachable_for_tests() -> None:
    decorated = task(extract)
    assert decorated.function() == [1, 2, 3]
    assert decorated.__doc__ == extract.__doc__
    assert repr(decorated) == "<@task function 'extract'>"


def test_a_call_outside_of_a_dag_says_what_to_do() -> None:
    with pytest.raises(DagDefinitionError) as caught:
        task(extract)()
    assert "@task function 'extract' is called outside of a DAG" in str(caught.value)
    assert "extract.function(...)" in str(caught.value)


def test_wrong_arguments_are_found_when_the_dag_is_made() -> None:
    @task
    def load(rows: list[int], table: str) -> None:
        print(rows, table)

    with DAG("x"):
        with pytest.raises(DagDefinitionError, match="the function 'load' lacks the argument 'table'"):
            load([1])
        with pytest.raises(DagDefinitionError, match=r"has no parameter 'tabel'; did you mean 'table'\?"):
            load([1], tabel="t")


def test_parameters_named_like_context_keys_may_be_left_out() -> None:
    @task
    def load(rows: list[int], ti: Any, logical_date: Any = None) -> None:
        print(rows, ti, logical_date)

    with DAG("x") as made:
        load([1])
    assert made.task_ids == ["load"]


def test_an_uncalled_function_is_no_end_of_an_edge() -> None:
    later = task(task_id="later")(extract)
    with DAG("x"):
        first = task(extract)()
        for draw in (lambda: first >> later, lambda: later >> first, lambda: first >> [later]):
            with pytest.raises(
                DagDefinitionError, match=r"has not been called, so it is no task yet; write extract\(\)"
            ):
                draw()


@pytest.mark.parametrize("name", ["branch", "short_circuit", "virtualenv", "bash", "sensor"])
def test_decorators_of_later_releases_are_refused_by_name(name: str) -> None:
    with pytest.raises(NotBuiltYet, match=f"@task.{name} comes in a later release of orch"):
        getattr(task, name)


def test_an_unknown_decorator_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"there is no @task\.brunch; did you mean 'branch'\?"):
        _ = task.brunch


def test_mapping_is_refused_by_name() -> None:
    with pytest.raises(NotBuiltYet, match=r"\.partial\(\) comes in a later release"):
        task(extract).partial(x=1)
    with pytest.raises(NotBuiltYet, match=r"\.expand\(\) comes in a later release"):
        task(extract).expand(x=[1])
    with pytest.raises(NotBuiltYet, match=r"\.expand_kwargs\(\) comes in a later release"):
        task(extract).expand_kwargs([])


def test_wrong_options_are_found_when_the_function_is_decorated() -> None:
    with pytest.raises(DagDefinitionError, match="@task function 'extract': unknown argument 'retrys'"):
        task(retrys=2)(extract)
    with pytest.raises(NotBuiltYet, match="'multiple_outputs' comes in a later release"):
        task(multiple_outputs=True)(extract)
    with pytest.raises(DagDefinitionError, match="is not callable"):
        task("extract")  # type: ignore[call-overload]  # the mistake under test


def test_a_lambda_needs_a_task_id() -> None:
    with DAG("x") as made:
        task(task_id="one")(lambda: 1)()
        with pytest.raises(DagDefinitionError, match="a lambda has no name"):
            task(lambda: 1)()
    assert made.task_ids == ["one"]


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda result: result["key"], r"take \['key'\] inside the task that gets it"),
        (lambda result: [*result], "cannot be looped over while the DAG is being defined"),
        (lambda result: 1 if result else 2, "cannot be tested for truth"),
        (lambda result: len(result), "cannot be measured"),
        (lambda result: f"echo {result}", "cannot be put into a text"),
        (lambda result: result.map(str), r"\.map\(\) on the result of task 'extract' comes in a later"),
        (lambda result: result.zip(result), r"\.zip\(\)"),
        (lambda result: result.concat(result), r"\.concat\(\)"),
    ],
)
def test_a_result_is_not_mistaken_for_its_value(use: Any, message: str) -> None:
    with DAG("x"):
        result = task(extract)()
    with pytest.raises((DagDefinitionError, NotBuiltYet), match=message):
        use(result)


def test_taskflow_operators_call_the_function_with_its_arguments() -> None:
    with DAG("x") as made:
        task(task_id="add")(lambda left, right: left + right)(1, right=2)
    operator = made.get_task("add")
    assert isinstance(operator, TaskFlowOperator)
    assert operator.execute({}) == 3
