"""The page for authors names every argument, context key and trigger rule of the code, and nothing else."""

import inspect
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

import orch
from orch import DAG, BaseOperator, PythonOperator, TriggerRule, task, timetables
from orch.authoring.arguments import LATER_DAG_ARGUMENTS, LATER_TASK_ARGUMENTS
from orch.authoring.callables import CONTEXT_KEYS
from orch.errors import NotBuiltYet
from orch_standard import BashOperator

PAGE = (Path(__file__).parents[2] / "docs" / "authoring.md").read_text(encoding="utf-8")
NAME = re.compile(r"`([^`]+)`")
VALUES = re.compile(r"`[^`]+`(?:, `[^`]+`)*(?=:|$)")
"""A cell that is one or several values, perhaps followed by what they mean."""


def first_cells(title: str, column: int = 0) -> list[str]:
    """Return the names in one column of the table whose first heading is `title`."""
    _, found, rest = PAGE.partition(f"\n| {title} |")
    assert found, f"the page has no table that begins with {title!r}"
    names: list[str] = []
    for row in rest.splitlines()[2:]:
        if not row.startswith("|"):
            break
        names += NAME.findall(row.split("|")[column + 1])
    return names


def later(title: str) -> list[str]:
    """Return the names of one item of the last section."""
    found = re.search(rf"^- \*\*{re.escape(title)}\*\*: (.*?)\.$", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"the last section has no item {title!r}"
    return NAME.findall(found[1])


def own_arguments(operator: type[BaseOperator]) -> list[str]:
    parameters = inspect.signature(operator.__init__).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def named_by(function: object) -> set[str]:
    assert callable(function)
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} - {"self"}


@pytest.mark.parametrize(
    ("shown", "known"),
    [
        pytest.param(first_cells("name"), orch.__all__, id="names in orch"),
        pytest.param(first_cells("timetable"), timetables.__all__, id="names in orch.timetables"),
        pytest.param(first_cells("argument of DAG"), named_by(DAG.__init__), id="DAG"),
        pytest.param(first_cells("argument of a task"), named_by(BaseOperator.__init__), id="task"),
        pytest.param(first_cells("argument of DAG.test"), named_by(DAG.test), id="DAG.test"),
        pytest.param(first_cells("key"), CONTEXT_KEYS, id="context"),
        pytest.param(first_cells("rule"), [rule.value for rule in TriggerRule], id="trigger rules"),
        pytest.param(
            first_cells("operator", 1),
            own_arguments(PythonOperator) + own_arguments(BashOperator),
            id="operators",
        ),
        pytest.param(later("Of a DAG"), LATER_DAG_ARGUMENTS, id="DAG, later"),
        pytest.param(later("Of a task"), LATER_TASK_ARGUMENTS, id="task, later"),
        pytest.param(
            later("Of `@task` and PythonOperator"), PythonOperator.later_arguments, id="function, later"
        ),
        pytest.param(later("Of BashOperator"), BashOperator.later_arguments, id="bash, later"),
    ],
)
def test_a_list_of_the_page_is_that_of_the_code(shown: list[str], known: Iterable[str]) -> None:
    assert sorted(shown) == sorted(known)


@pytest.mark.parametrize("kind", later("Kinds of `@task`"))
def test_a_kind_of_task_that_the_page_calls_later_is_refused(kind: str) -> None:
    with pytest.raises(NotBuiltYet):
        getattr(task, kind.removeprefix("@task."))


@pytest.mark.parametrize("name", later("Names in `orch`"))
def test_a_name_that_the_page_calls_later_is_refused(name: str) -> None:
    with pytest.raises(NotBuiltYet):
        getattr(orch, name)


def defaults_shown(title: str) -> list[tuple[str, str]]:
    """Return (argument, default) of each row whose default is one Python value for one argument."""
    rows = PAGE.partition(f"\n| {title} |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.split("|")[1:3]] for row in rows]
    codes = [(NAME.findall(names), VALUES.match(default)) for names, default in cells]
    return [
        pair
        for names, values in codes
        if values and len(names) == len(NAME.findall(default := values[0]))
        for pair in zip(names, NAME.findall(default), strict=True)
    ]


@pytest.mark.parametrize(
    ("title", "function", "least"),
    [("argument of DAG", DAG.__init__, 4), ("argument of a task", BaseOperator.__init__, 12)],
)
def test_the_defaults_shown_are_those_of_the_code(title: str, function: object, least: int) -> None:
    assert callable(function)
    parameters = inspect.signature(function).parameters
    shown = defaults_shown(title)
    assert len(shown) >= least
    wrong = [(name, text) for name, text in shown if repr(parameters[name].default) != text.replace('"', "'")]
    assert wrong == []


def test_a_naive_start_date_is_read_in_the_zone_of_the_dag_as_the_page_says() -> None:
    dag = DAG("zoned", schedule="@daily", start_date=datetime(2024, 1, 1), timezone="Europe/Berlin")
    assert dag.to_spec().start_date == datetime(2023, 12, 31, 23, tzinfo=UTC)
    assert DAG("unzoned", start_date=datetime(2024, 1, 1)).to_spec().timezone == "UTC"
