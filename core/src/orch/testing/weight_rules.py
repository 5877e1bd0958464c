"""The contract of weight rules as a test class, for the packages that bring one."""

import time
from collections.abc import Mapping
from copy import deepcopy

import pytest

from orch.domain.dagspec import DagSpec, TaskSpec
from orch.hookspecs import WeightRuleSpec

BUDGET_SECONDS = 1.0


def dag_of(edges: Mapping[str, str], **weights: int) -> DagSpec:
    """Return a DAG: `{"a": "", "b": "a"}` is a -> b, several upstream tasks are separated by spaces."""
    tasks = (
        TaskSpec(task_id, "Test", tuple(upstream.split()), priority_weight=weights.get(task_id, 1))
        for task_id, upstream in edges.items()
    )
    return DagSpec("contract", tuple(tasks))


class WeightRuleContract:
    """What every weight rule promises. Subclass it as `TestNAME` and override the fixture `rule`."""

    @pytest.fixture
    def rule(self) -> WeightRuleSpec:
        """Return the rule as the plugin registers it."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture 'rule'")

    @pytest.fixture(params=["empty", "single", "diamond", "chain", "fan", "far weights"])
    def dag(self, request: pytest.FixtureRequest) -> DagSpec:
        """Return DAGs of several shapes, one after the other."""
        return {
            "empty": dag_of({}),
            "single": dag_of({"a": ""}),
            "diamond": dag_of({"a": "", "b": "a", "c": "a", "d": "b c"}, b=5),
            "chain": dag_of({f"t{n}": f"t{n - 1}" if n else "" for n in range(1000)}),
            "fan": dag_of({"first": ""} | {f"t{n}": "first" for n in range(1000)}),
            "far weights": dag_of({"a": "", "b": "a", "c": "b"}, a=-(2**31 - 1), b=0, c=2**31 - 1),
        }[str(request.param)]

    def test_it_weighs_every_task_that_names_it(self, rule: WeightRuleSpec, dag: DagSpec) -> None:
        """A task without a priority could not be ordered."""
        missing = dag.by_id.keys() - rule.weigh(dag).keys()
        _must(not missing, f"it gives no priority to {sorted(missing)[:3]}")

    def test_priorities_are_whole_numbers(self, rule: WeightRuleSpec, dag: DagSpec) -> None:
        """They are stored as such."""
        for task_id, priority in rule.weigh(dag).items():
            is_whole = type(priority) is int
            _must(is_whole, f"task {task_id!r} has the priority {priority!r}")

    def test_the_same_dag_has_the_same_priorities(self, rule: WeightRuleSpec, dag: DagSpec) -> None:
        """Else each import would make a new version of the DAG."""
        first = dict(rule.weigh(dag))
        _must(dict(rule.weigh(deepcopy(dag))) == first, "a second call gives other priorities")

    def test_the_order_of_tasks_means_nothing(self, rule: WeightRuleSpec, dag: DagSpec) -> None:
        """Tasks are stored sorted, and a file may declare them in any order."""
        turned = DagSpec(dag.dag_id, dag.tasks[::-1])
        _must(dict(rule.weigh(turned)) == dict(rule.weigh(dag)), "tasks in another order weigh otherwise")

    def test_the_dag_is_left_alone(self, rule: WeightRuleSpec, dag: DagSpec) -> None:
        """The rule reads it; others read it after."""
        before = dag.to_json()
        rule.weigh(dag)
        _must(dag.to_json() == before, "weigh changed the DAG")

    def test_it_keeps_its_time(self, rule: WeightRuleSpec, dag: DagSpec) -> None:
        """The DAG processor waits for it."""
        began = time.monotonic()
        rule.weigh(dag)
        took = time.monotonic() - began
        _must(took <= BUDGET_SECONDS, f"weigh took {took:.1f} s; it may take {BUDGET_SECONDS:g} s")


def _must(holds: bool, sentence: str) -> None:
    """Fail the test with a sentence for the author of the rule, who does not read this file."""
    if not holds:
        pytest.fail(sentence, pytrace=False)
