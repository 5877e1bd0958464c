"""Templates are refused where a later release renders them, and nowhere else."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from orch import DAG, BaseOperator, PythonOperator, task
from orch.errors import NotBuiltYet


class Send(BaseOperator):
    """An operator with a template field and one that is none."""

    template_fields: ClassVar[Sequence[str]] = ("body",)

    def __init__(self, *, body: Any, subject: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.body = body
        self.subject = subject

    def execute(self, context: Mapping[str, Any]) -> None:
        """Send nothing."""


@pytest.mark.parametrize(
    "body",
    [
        "echo {{ ds }}",
        "{{ds}}",
        "{% if x %}y{% endif %}",
        "{{\nds\n}}",
        ["a", {"b": ("{{ ds }}",)}],
        {"{{ k }}": 1},
    ],
)
def test_a_template_is_refused_with_dag_task_field_and_remedy(body: Any) -> None:
    with DAG("d"), pytest.raises(NotBuiltYet, match=r"task 'a' of DAG 'd': body contains .*ORCH_\* env"):
        Send(task_id="a", body=body)


def test_a_template_that_is_set_later_is_refused_with_the_dag() -> None:
    with DAG("d") as dag:
        Send(task_id="a", body="plain").body = "{{ ds }}"
    with pytest.raises(NotBuiltYet, match="templates come in a later release"):
        dag.to_spec()


@pytest.mark.parametrize(
    "body",
    ["docker ps --format '{{.Names}}'", "{{ .Names }}", '{"a": {"b": 1}}', "${x%%.*}", "{ {", b"{{ ds }}"],
)
def test_other_braces_are_text(body: Any) -> None:
    with DAG("d"):
        assert Send(task_id="a", body=body, subject="{{ ds }}").body == body


def test_arguments_of_functions_are_data() -> None:
    with DAG("d"):
        PythonOperator(task_id="a", python_callable=print, op_args=["{{ ds }}"])
        task(task_id="b")(str.upper)("{{ ds }}")


def test_a_list_that_contains_itself_is_looked_through_once() -> None:
    loop: list[Any] = ["plain"]
    loop.append(loop)
    with DAG("d"):
        Send(task_id="a", body=loop)
