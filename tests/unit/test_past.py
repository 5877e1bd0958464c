"""The past: what holds a task back, and how a decision asks for it."""

from datetime import UTC, datetime

import pytest

from orch.domain.dagspec import DagSpec, TaskSpec
from orch.domain.decide import LOOK_AGAIN, decide
from orch.domain.past import Past, hold_of
from orch.domain.run_view import RunView, TaskFacts
from orch.domain.states import TaskState

NOW = datetime(2024, 1, 1, tzinfo=UTC)
PASSES = {TaskState.SUCCESS, TaskState.SKIPPED, TaskState.REMOVED}


def task(name: str = "load", *upstream: str, deep: bool = False) -> TaskSpec:
    return TaskSpec(name, "Test", upstream, depends_on_past=True, wait_for_downstream=deep)


def view_of(*tasks: TaskSpec) -> RunView:
    facts = [TaskFacts(number, one.task_id, -1, TaskState.NONE) for number, one in enumerate(tasks)]
    return RunView(1, 1, DagSpec("d", tasks), facts)


@pytest.mark.parametrize("state", list(TaskState))
def test_only_a_task_that_has_passed_lets_the_next_run_go(state):
    hold = hold_of(task(), Past(state))
    assert (hold is None) == (state in PASSES)
    assert hold is None or (hold.reason, hold.blocking) == ("depends_on_past", ("load",))


def test_without_a_past_nothing_holds():
    assert hold_of(task(deep=True), Past()) is None


def test_a_task_that_does_not_ask_for_the_past_is_not_held():
    assert hold_of(TaskSpec("load", "Test"), Past(TaskState.FAILED)) is None


def test_downstream_tasks_hold_only_those_that_wait_for_them_and_each_is_named_once():
    past = Past(
        TaskState.SUCCESS,
        (("a", TaskState.RUNNING), ("a", TaskState.NONE), ("b", TaskState.SKIPPED), ("c", TaskState.FAILED)),
    )
    assert hold_of(task(), past) is None
    hold = hold_of(task(deep=True), past)
    assert hold is not None
    assert (hold.reason, hold.blocking) == ("wait_for_downstream", ("a", "c"))


def test_a_task_asks_for_its_past_when_its_rule_lets_it_run_and_not_before():
    view = view_of(TaskSpec("a", "Test"), task("b", "a"))
    first = decide(view, NOW)
    assert ([move.position for move in first.moves], first.asks) == ([0], set())
    view.observe(TaskFacts(0, "a", -1, TaskState.SUCCESS))
    assert decide(view, NOW).asks == {1}


def test_a_task_whose_rule_can_no_longer_hold_does_not_wait_for_the_past():
    view = view_of(TaskSpec("a", "Test"), task("b", "a"))
    decide(view, NOW)
    view.observe(TaskFacts(0, "a", -1, TaskState.FAILED))
    decision = decide(view, NOW)
    assert [str(move.new) for move in decision.moves] == ["upstream_failed"]
    assert decision.asks == set()


def test_a_held_task_is_noted_once_looked_at_again_in_time_and_goes_when_the_past_allows():
    view = view_of(task("a"))
    assert decide(view, NOW).asks == {0}
    view.tell_past(0, Past(TaskState.RUNNING))
    held = decide(view, NOW)
    assert (held.moves, held.holds, held.due_at) == ([], {0: "depends_on_past"}, NOW + LOOK_AGAIN)
    assert decide(view, NOW).asks == set()
    assert decide(view, NOW + LOOK_AGAIN).asks == {0}
    view.tell_past(0, Past(TaskState.RUNNING))
    again = decide(view, NOW + LOOK_AGAIN)
    assert (again.holds, again.due_at) == ({}, NOW + 2 * LOOK_AGAIN)
    view.look_again(0)
    decide(view, NOW + LOOK_AGAIN)
    view.tell_past(0, Past(TaskState.SUCCESS))
    assert [str(move.new) for move in decide(view, NOW + LOOK_AGAIN).moves] == ["scheduled"]
    assert view.held == {}


def test_a_wake_up_looks_at_the_task_that_it_names():
    view = view_of(task("a"), task("b"))
    decide(view, NOW)
    for position in (0, 1):
        view.tell_past(position, Past(TaskState.RUNNING))
    decide(view, NOW)
    view.observe(TaskFacts(1, "b", -1, TaskState.NONE, reason="depends_on_past"))
    assert decide(view, NOW).asks == {1}


def test_what_was_read_of_the_past_is_not_used_in_a_later_transaction():
    view = view_of(task("a"), task("b"))
    assert decide(view, NOW).asks == {0, 1}
    for position in (0, 1):
        view.tell_past(position, Past(TaskState.SUCCESS))
    assert len(decide(view, NOW, batch=1).moves) == 1
    assert decide(view, NOW).asks == {1}
