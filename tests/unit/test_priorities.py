"""Priorities: what weight rules make of weights."""

import time

import pytest

from orch import DAG
from orch.domain.dagspec import DagSpec, TaskSpec
from orch.domain.priorities import LARGEST, total_weights, with_priorities
from orch_standard import EmptyOperator


def diamond(rule: str = "downstream", **weights: int) -> DagSpec:
    edges = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
    return DagSpec(
        "d",
        tuple(
            TaskSpec(task_id, "Test", upstream, weight_rule=rule, priority_weight=weights.get(task_id, 1))
            for task_id, upstream in edges.items()
        ),
    )


def priorities(spec: DagSpec) -> dict[str, int | None]:
    return {task.task_id: task.priority for task in with_priorities(spec).tasks}


def test_downstream_adds_all_that_comes_after_each_once():
    assert priorities(diamond(d=10)) == {"a": 13, "b": 11, "c": 11, "d": 10}


def test_upstream_adds_all_that_comes_before_each_once():
    assert priorities(diamond("upstream", a=10)) == {"a": 10, "b": 11, "c": 11, "d": 13}


def test_absolute_leaves_the_weight_alone_and_the_hash_as_it_was():
    spec = diamond("absolute", a=5)
    assert with_priorities(spec) is spec
    assert '"priority":' not in spec.to_json()


def test_each_task_has_its_own_rule():
    tasks = list(diamond("absolute").tasks)
    tasks[1] = TaskSpec("b", "Test", ("a",), weight_rule="downstream")
    assert priorities(DagSpec("d", tuple(tasks))) == {"a": None, "b": 2, "c": None, "d": None}


def test_sums_are_cut_off_at_what_can_be_stored():
    assert priorities(diamond(b=LARGEST, c=LARGEST))["a"] == LARGEST
    assert priorities(diamond(b=-LARGEST, c=-LARGEST))["a"] == -LARGEST


def test_a_dag_file_gets_its_priorities_when_it_is_serialised():
    with DAG("d") as dag:
        first, last = EmptyOperator(task_id="first", weight_rule="downstream"), EmptyOperator(task_id="last")
        first >> last
    assert [(task.task_id, task.priority) for task in dag.to_spec().tasks] == [("first", 2), ("last", None)]
    assert DagSpec.from_json(dag.to_spec().to_json()).by_id["first"].priority == 2


def chain(size: int) -> list[tuple[str, ...]]:
    return [(f"t{n - 1}",) if n else () for n in range(size)]


def fan(size: int) -> list[tuple[str, ...]]:
    return [(), *[("t0",)] * (size - 2), tuple(f"t{n}" for n in range(1, size - 1))]


def layers(size: int) -> list[tuple[str, ...]]:
    return [tuple(f"t{(n // 10 - 1) * 10 + k}" for k in range(10)) if n >= 10 else () for n in range(size)]


def of_edges(edges: list[tuple[str, ...]]) -> DagSpec:
    return DagSpec("d", tuple(TaskSpec(f"t{n}", "Test", upstream) for n, upstream in enumerate(edges)))


@pytest.mark.parametrize("shape", [chain, fan, layers])
def test_ten_thousand_tasks_take_less_than_a_second(shape):
    spec = of_edges(shape(10_000))
    spec.graph  # noqa: B018 - built outside of the time
    began = time.process_time()
    totals = total_weights(spec, "downstream")
    assert time.process_time() - began < 1.5
    assert totals["t0"] == (10_000 if shape is not layers else 10_000 - 9)


def test_a_chain_of_a_hundred_thousand_takes_seconds():
    spec = of_edges(chain(100_000))
    began = time.process_time()
    assert total_weights(spec, "upstream")["t99999"] == 100_000
    assert time.process_time() - began < 8
