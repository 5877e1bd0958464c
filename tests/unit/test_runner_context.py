"""The context: its keys, its errors, and the function parameters that it fills."""

from datetime import UTC, datetime
from typing import Any

import pytest

from orch import DAG, DagDefinitionError, PythonOperator
from orch.authoring.callables import CONTEXT_KEYS, Callee
from orch.runner.command import TaskCommand
from orch.runner.context import Context, ContextError, TaskInstance, build_context

AT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


class Silent:
    def request(self, message: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError(message)


def context(logical_date: datetime | None = AT) -> Context:
    operator = PythonOperator(task_id="work", python_callable=print, dag=DAG("x"))
    command = TaskCommand(
        ti_id=1,
        epoch=4,
        nonce="n",
        dag_id="x",
        run_id="r1",
        task_id="work",
        try_number=2,
        max_tries=3,
        logical_date=logical_date,
        run_after=AT,
        conf={"a": 1},
        dag_file="/dags/x.py",
        dags_folder="/dags",
    )
    return build_context(command, operator, TaskInstance(command, Silent(), lambda: ["work"]))


def call(function: Any, *args: Any, **kwargs: Any) -> Any:
    callee = Callee("task 'work'", function)
    callee.check(args, kwargs)
    return callee.call(args, kwargs, context())


def test_the_context_holds_the_published_keys() -> None:
    assert set(context()) == CONTEXT_KEYS


def test_the_context_knows_its_attempt() -> None:
    facts = context()
    assert (facts["ds"], facts["ts"], facts["conf"]) == ("2024-05-06", "2024-05-06T07:08:09+00:00", {"a": 1})
    assert (facts["ti"].fence, facts["ti"].max_tries) == ((4, "n"), 3)
    assert facts["run"] is facts["dag_run"]
    assert (facts["run"].run_id, facts["task"].task_id, facts["dag"].dag_id) == ("r1", "work", "x")
    assert repr(facts) == "<Context of <try 2 of task 'work' in run 'r1' of DAG 'x'>>"


def test_an_unknown_key_is_named_with_the_nearest() -> None:
    with pytest.raises(ContextError) as caught:
        context()["logical_dat"]
    assert str(caught.value) == "the context has no 'logical_dat'; did you mean 'logical_date'?"
    assert context().get("nonsense") is None


def test_a_run_without_logical_date_says_so() -> None:
    facts = context(None)
    assert facts["logical_date"] is None
    assert "ds" not in facts
    with pytest.raises(KeyError, match="run 'r1' has no logical date, so its context has no 'ds'"):
        facts["ds"]


def test_parameters_are_filled_by_name() -> None:
    assert call(lambda ds, ti: (ds, ti.task_id)) == ("2024-05-06", "work")
    assert call(lambda x, *, run_id: (x, run_id), 5) == (5, "r1")
    assert call(lambda ds=None: ds) == "2024-05-06"


def test_arguments_and_other_defaults_win_over_the_context() -> None:
    assert call(lambda ds: ds, "mine") == "mine"
    assert call(lambda ds: ds, ds="mine") == "mine"
    assert call(lambda conf="app.toml": conf) == "app.toml"


def test_a_function_with_kwargs_or_context_gets_the_whole_context() -> None:
    def function(x: int, **kwargs: Any) -> Any:
        return x, kwargs["a"], kwargs["ds"], "ti" in kwargs

    assert call(function, 1, a=2) == (1, 2, "2024-05-06", True)
    assert call(lambda **context: set(context)) == CONTEXT_KEYS
    assert call(lambda conf="mine", **context: (conf, "conf" in context)) == ("mine", False)
    assert call(lambda **kwargs: kwargs["ds"], ds="mine") == "mine"


def test_other_double_starred_parameters_get_what_they_are_given() -> None:
    def function(**tables: Any) -> Any:
        return tables

    assert call(function, a=2) == {"a": 2}


def test_positional_only_parameters_are_never_filled() -> None:
    assert call(lambda ds=None, /: ds) is None
    with pytest.raises(DagDefinitionError, match="lacks the argument 'ds'"):
        call(lambda ds, /: ds)


def test_a_callable_that_hides_its_signature_is_called_as_it_is() -> None:
    assert call(dict, a=1) == {"a": 1}
    assert call(max, 1, 2) == 2
