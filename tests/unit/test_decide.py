"""Decisions: what moves when a task ends, when a run has ended, and what it costs."""

from datetime import UTC, datetime, timedelta

import pytest

from orch.domain.dagspec import DagSpec, TaskSpec
from orch.domain.decide import decide
from orch.domain.run_view import RunView, TaskFacts
from orch.domain.states import RunState, TaskState

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def view_of(edges: dict[str, str], rules: dict[str, str] | None = None) -> RunView:
    """`{"a": "", "b": "a"}` is a -> b; upstreams are separated by spaces."""
    tasks = tuple(
        TaskSpec(name, "Test", tuple(up.split()), trigger_rule=(rules or {}).get(name, "all_success"))
        for name, up in edges.items()
    )
    facts = [TaskFacts(number, task.task_id, -1, TaskState.NONE) for number, task in enumerate(tasks)]
    return RunView(1, 1, DagSpec("d", tasks), facts)


def moved(view: RunView, now: datetime = NOW, batch: int = 500) -> dict[str, str]:
    decision = decide(view, now, batch=batch)
    return {view.tasks[move.position].facts.task_id: str(move.new) for move in decision.moves}


def end(view: RunView, name: str, state: TaskState, due_at: datetime | None = None) -> None:
    old = next(task.facts for task in view.tasks if task.facts.task_id == name)
    assert view.observe(TaskFacts(old.ti_id, name, -1, state, due_at))


def test_a_new_run_schedules_its_roots():
    assert moved(view_of({"a": "", "b": "", "c": "a b"})) == {"a": "scheduled", "b": "scheduled"}


def test_a_task_is_scheduled_when_its_last_upstream_succeeds():
    view = view_of({"a": "", "b": "", "c": "a b"})
    decide(view, NOW)
    end(view, "a", TaskState.SUCCESS)
    assert moved(view) == {}
    end(view, "b", TaskState.SUCCESS)
    assert moved(view) == {"c": "scheduled"}


def test_a_failure_spreads_to_all_descendants_in_one_decision():
    view = view_of({"a": "", "b": "a", "c": "b", "d": "c"})
    decide(view, NOW)
    end(view, "a", TaskState.FAILED)
    decision = decide(view, NOW)
    assert [str(move.new) for move in decision.moves] == ["upstream_failed"] * 3
    assert decision.run_state is RunState.FAILED


def test_a_decision_stops_at_its_batch_and_asks_to_be_called_again():
    view = view_of({"a": "", **{f"t{n}": "a" if n == 0 else f"t{n - 1}" for n in range(10)}})
    decide(view, NOW)
    end(view, "a", TaskState.FAILED)
    first = decide(view, NOW, batch=4)
    assert len(first.moves) == 4
    assert first.due_at == NOW
    assert len(decide(view, NOW, batch=100).moves) == 6


def test_a_failure_that_a_later_task_dealt_with_does_not_fail_the_run():
    view = view_of({"a": "", "clean": "a"}, {"clean": "all_done"})
    decide(view, NOW)
    end(view, "a", TaskState.FAILED)
    assert moved(view) == {"clean": "scheduled"}
    end(view, "clean", TaskState.SUCCESS)
    assert decide(view, NOW).run_state is RunState.SUCCESS


def test_a_run_without_tasks_is_a_success_at_once():
    assert decide(view_of({}), NOW).run_state is RunState.SUCCESS


def test_a_cancelled_leaf_cancels_the_run_unless_another_failed():
    view = view_of({"a": "", "b": ""})
    decide(view, NOW)
    end(view, "a", TaskState.CANCELLED)
    end(view, "b", TaskState.SUCCESS)
    assert decide(view, NOW).run_state is RunState.CANCELLED


def test_a_retry_is_scheduled_when_its_delay_is_over_and_not_before():
    view = view_of({"a": ""})
    decide(view, NOW)
    due_at = NOW + timedelta(seconds=30)
    end(view, "a", TaskState.UP_FOR_RETRY, due_at)
    waiting = decide(view, NOW + timedelta(seconds=29))
    assert (waiting.moves, waiting.due_at) == ([], due_at)
    assert moved(view, due_at) == {"a": "scheduled"}


def test_a_stale_timer_does_not_fire_twice():
    view = view_of({"a": ""})
    decide(view, NOW)
    due_at = NOW + timedelta(seconds=30)
    end(view, "a", TaskState.UP_FOR_RETRY, due_at)
    end(view, "a", TaskState.UP_FOR_RETRY, due_at)
    assert moved(view, due_at) == {"a": "scheduled"}
    assert moved(view, due_at) == {}


def test_an_end_seen_twice_is_counted_once():
    view = view_of({"a": "", "b": "", "c": "a b"}, {"c": "all_done"})
    decide(view, NOW)
    end(view, "a", TaskState.SUCCESS)
    end(view, "a", TaskState.SUCCESS)
    assert moved(view) == {}


def test_a_view_refuses_facts_it_cannot_take_in():
    view = view_of({"a": ""})
    assert not view.observe(TaskFacts(99, "zzz", -1, TaskState.SUCCESS))
    end(view, "a", TaskState.SUCCESS)
    assert not view.observe(TaskFacts(0, "a", -1, TaskState.NONE))


@pytest.mark.parametrize("half", ["nothing", "root ended"])
def test_a_view_built_anew_decides_like_the_old_one(half):
    edges = {"a": "", "b": "a", "c": "a", "d": "b c"}
    view = view_of(edges)
    decide(view, NOW)
    if half == "root ended":
        end(view, "a", TaskState.SUCCESS)
    facts = [TaskFacts(t.facts.ti_id, t.facts.task_id, -1, t.facts.state) for t in view.tasks]
    assert moved(RunView(1, 1, view.spec, facts)) == moved(view)


def test_a_finished_task_costs_its_downstream_edges_only():
    width = 2_000
    view = view_of(
        {"a": "", **{f"t{n}": "a" for n in range(width)}, "z": " ".join(f"t{n}" for n in range(width))}
    )
    decide(view, NOW)
    end(view, "a", TaskState.SUCCESS)
    decide(view, NOW, batch=width)
    end(view, "t0", TaskState.SUCCESS)
    assert len(view.pending) == 1
