"""Weight rules of plugins: how they are taken in, guarded, and missed; and their contract."""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import pytest

from orch.dagfiles.acceptance import accept
from orch.dagfiles.results import ImportedDag, ImportResult
from orch.domain.dagspec import DagSpec, TaskSpec
from orch.errors import PluginError
from orch.hookspecs import WeightRuleSpec, hookimpl
from orch.plugins import Plugins, weight_rules
from orch.testing import check_plugin, plugins_from
from orch.testing.weight_rules import WeightRuleContract, dag_of

SPEC = DagSpec(
    "d", (TaskSpec("a", "Test", weight_rule="by_name"), TaskSpec("bb", "Test", ("a",), priority_weight=7))
)


def by_name(spec: DagSpec) -> Mapping[str, int]:
    return {task.task_id: len(task.task_id) for task in spec.tasks}


class Rules:
    """A plugin with these weight rules."""

    def __init__(self, *rules: WeightRuleSpec) -> None:
        self.rules = rules

    @hookimpl
    def register_weight_rules(self) -> Sequence[WeightRuleSpec]:
        return self.rules


def plugins(weigh: Callable[..., Any] = by_name, name: str = "by_name") -> Plugins:
    return plugins_from(namer=Rules(WeightRuleSpec(name, weigh)))


def accepted(spec: DagSpec, loaded: Plugins) -> ImportResult:
    dag = ImportedDag(spec.dag_id, spec.to_json(), spec.structure_hash)
    return accept(ImportResult("d.py", (dag,)), loaded)


def test_a_rule_of_a_plugin_gives_the_tasks_that_name_it_their_priorities():
    check_plugin(Rules())
    (dag,) = accepted(SPEC, plugins()).dags
    spec = DagSpec.from_json(dag.spec)
    assert {task.task_id: task.priority for task in spec.tasks} == {"a": 1, "bb": None}
    assert dag.structure_hash == spec.structure_hash != SPEC.structure_hash


def test_a_dag_without_such_tasks_stays_as_it_is():
    spec = DagSpec("d", (TaskSpec("a", "Test"), TaskSpec("b", "Test", weight_rule="downstream", priority=1)))
    (dag,) = accepted(spec, plugins()).dags
    assert dag.spec == spec.to_json()


@pytest.mark.parametrize(
    ("name", "hint"), [("downstrem", "'downstream'"), ("by_nam", "'by_name'"), ("zzz", "known: abs")]
)
def test_an_unknown_rule_is_an_import_problem_that_names_the_nearest(name, hint):
    spec = DagSpec("d", (TaskSpec("a", "Test", weight_rule=name),))
    (problem,) = accepted(spec, plugins()).problems
    assert "task 'a' has the unknown weight rule" in problem.message
    assert hint in problem.message


def failing(_: DagSpec) -> Mapping[str, int]:
    raise ValueError("on purpose")


@pytest.mark.parametrize(
    ("weigh", "words"),
    [
        (failing, "raised ValueError: on purpose"),
        (lambda _: [1], "returned [1]; return a mapping"),
        (lambda _: {}, "gives task 'a' the priority None"),
        (lambda _: {"a": 1.5}, "gives task 'a' the priority 1.5"),
        (lambda _: {"a": True}, "gives task 'a' the priority True"),
    ],
)
def test_a_rule_that_breaks_its_contract_is_an_import_problem_that_names_its_plugin(weigh, words):
    (problem,) = accepted(SPEC, plugins(weigh)).problems
    assert "weight rule 'by_name' of plugin 'namer' " in problem.message
    assert words in problem.message


def test_a_rule_that_takes_too_long_is_ended(monkeypatch):
    monkeypatch.setattr(weight_rules, "BUDGET_SECONDS", 0.02)
    monkeypatch.setattr(weight_rules, "LAST_SECONDS", 0.1)

    def endless(_: DagSpec) -> Mapping[str, int]:
        while True:
            pass

    def slow(_: DagSpec) -> Mapping[str, int]:
        until = time.monotonic() + 0.03
        while time.monotonic() < until:
            pass
        return {"a": 1}

    for weigh, words in ((endless, "was ended after 0.1 s"), (slow, "took 0.0 s; it may take 0.02 s")):
        (problem,) = accepted(SPEC, plugins(weigh)).problems
        assert words in problem.message


def test_priorities_beyond_what_can_be_stored_are_cut_off():
    (dag,) = accepted(SPEC, plugins(lambda _: {"a": 10**12})).dags
    assert DagSpec.from_json(dag.spec).by_id["a"].priority == 2**31 - 1


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (WeightRuleSpec("downstream", by_name), "is a rule of core"),
        (WeightRuleSpec("By Name", by_name), "use small letters"),
        (WeightRuleSpec("x", 3), "is not a function"),  # type: ignore[arg-type]  # on purpose
    ],
)
def test_a_rule_that_cannot_be_is_refused_at_boot(rule, words):
    with pytest.raises(PluginError, match=words):
        plugins_from(namer=Rules(rule))


def test_two_plugins_with_one_rule_are_an_error_that_names_both():
    rule = WeightRuleSpec("by_name", by_name)
    with pytest.raises(PluginError, match="'one' and 'two' both bring the weight rule 'by_name'"):
        plugins_from(one=Rules(rule), two=Rules(rule))


class TestByName(WeightRuleContract):
    @pytest.fixture
    def rule(self) -> WeightRuleSpec:
        return WeightRuleSpec("by_name", by_name)


def changing() -> WeightRuleSpec:
    calls = count()
    return WeightRuleSpec("x", lambda dag: {task.task_id: next(calls) for task in dag.tasks})


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (WeightRuleSpec("x", lambda _: {}), WeightRuleContract.test_it_weighs_every_task_that_names_it),
        (WeightRuleSpec("x", lambda _: {"a": True}), WeightRuleContract.test_priorities_are_whole_numbers),
        (changing(), WeightRuleContract.test_the_same_dag_has_the_same_priorities),
        (
            WeightRuleSpec("x", lambda dag: {task.task_id: n for n, task in enumerate(dag.tasks)}),
            WeightRuleContract.test_the_order_of_tasks_means_nothing,
        ),
    ],
)
def test_the_contract_finds_what_is_broken(broken, promise):
    with pytest.raises(pytest.fail.Exception):
        promise(WeightRuleContract(), broken, dag_of({"a": "", "b": "a"}))
