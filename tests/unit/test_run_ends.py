"""Runs that end before their time: out of time, or a task has failed and the DAG has fail_fast."""

from datetime import UTC, datetime, timedelta

import pytest

from orch.domain.dagspec import DagSpec, TaskSpec
from orch.domain.decide import Decision, decide, derive_run_end
from orch.domain.run_view import RunView, TaskFacts
from orch.domain.states import OPEN, TERMINAL, RunState, TaskState

NOW = datetime(2024, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=60)
FRESH = {TaskState.NONE, TaskState.SCHEDULED}


def view_of(states: dict[str, TaskState], *, deadline: datetime | None = None, **values: object) -> RunView:
    """One task per state; a name that begins with `teardown` is one."""
    tasks = tuple(TaskSpec(name, "Test", is_teardown=name.startswith("teardown")) for name in states)
    spec = DagSpec("d", tasks, **values)  # type: ignore[arg-type]
    facts = [TaskFacts(n, name, -1, state) for n, (name, state) in enumerate(states.items())]
    return RunView(1, 1, spec, facts, deadline)


def ends(view: RunView, decision: Decision) -> dict[str, tuple[str, str | None]]:
    return {view.tasks[move.position].facts.task_id: (str(move.new), move.reason) for move in decision.moves}


@pytest.mark.parametrize("state", sorted(OPEN))
def test_what_has_begun_is_cancelled_and_what_has_not_is_skipped(state):
    view = view_of({"a": state}, deadline=NOW)
    decision = decide(view, NOW)
    new = "skipped" if state in FRESH else "cancelled"
    assert ends(view, decision) == {"a": (new, "dagrun_timeout")}
    assert (decision.run_state, decision.run_reason) == (RunState.FAILED, "dagrun_timeout")


def test_a_task_that_waits_for_its_second_start_has_begun():
    view = view_of({"a": TaskState.SCHEDULED}, deadline=NOW)
    view.tasks[0].facts.has_begun = True
    assert ends(view, decide(view, NOW)) == {"a": ("cancelled", "dagrun_timeout")}


def test_before_its_deadline_a_run_goes_on_and_is_due_at_it():
    view = view_of({"a": TaskState.RUNNING}, deadline=LATER)
    decision = decide(view, NOW)
    assert (decision.moves, decision.due_at) == ([], LATER)


def test_a_retry_before_the_deadline_comes_first_and_one_after_it_does_not_count():
    view = view_of({"a": TaskState.RUNNING}, deadline=LATER)
    early = NOW + timedelta(seconds=5)
    view.observe(TaskFacts(0, "a", -1, TaskState.UP_FOR_RETRY, early))
    assert decide(view, NOW).due_at == early
    view.observe(TaskFacts(0, "a", -1, TaskState.UP_FOR_RETRY, LATER + timedelta(seconds=1)))
    assert decide(view, NOW).due_at == LATER


def test_a_run_whose_tasks_have_all_ended_is_not_out_of_time():
    view = view_of({"a": TaskState.SUCCESS}, deadline=NOW)
    assert decide(view, LATER).run_state is RunState.SUCCESS


def test_an_end_of_many_tasks_comes_in_batches_and_the_rest_is_never_scheduled():
    view = view_of({f"t{n}": TaskState.NONE for n in range(10)}, deadline=NOW)
    first = decide(view, NOW, batch=4)
    assert (len(first.moves), first.due_at, first.run_state) == (4, NOW, None)
    second = decide(view, NOW, batch=100)
    assert {str(move.new) for move in [*first.moves, *second.moves]} == {"skipped"}
    assert second.run_state is RunState.FAILED


def test_a_batch_that_was_too_small_makes_the_run_due_at_once_even_when_nothing_is_pending():
    states = {"bad": TaskState.FAILED} | {f"t{n}": TaskState.RUNNING for n in range(3)}
    view = view_of(states, fail_fast=True)
    decision = decide(view, NOW, batch=2)
    assert (len(decision.moves), len(view.pending), decision.due_at) == (2, 0, NOW)


def test_a_view_built_anew_between_two_batches_ends_the_rest_even_when_that_has_ended_itself():
    facts = [
        TaskFacts(0, "a", -1, TaskState.SKIPPED, reason="dagrun_timeout"),
        TaskFacts(1, "b", -1, TaskState.SUCCESS),
    ]
    view = RunView(1, 1, DagSpec("d", (TaskSpec("a", "T"), TaskSpec("b", "T"))), facts)
    assert derive_run_end(view) == (RunState.FAILED, "dagrun_timeout")


def test_the_first_failure_for_good_ends_a_run_that_fails_fast():
    view = view_of({"a": TaskState.RUNNING, "b": TaskState.RUNNING, "c": TaskState.NONE}, fail_fast=True)
    view.observe(TaskFacts(0, "a", -1, TaskState.FAILED))
    decision = decide(view, NOW)
    assert ends(view, decision) == {"b": ("cancelled", "fail_fast"), "c": ("skipped", "fail_fast")}
    assert (decision.run_state, decision.run_reason) == (RunState.FAILED, "fail_fast")


@pytest.mark.parametrize("state", sorted((TERMINAL - {TaskState.FAILED}) | {TaskState.UP_FOR_RETRY}))
def test_any_other_end_of_a_task_does_not(state):
    view = view_of({"a": TaskState.RUNNING, "b": TaskState.RUNNING}, fail_fast=True)
    view.observe(TaskFacts(0, "a", -1, state, LATER))
    assert decide(view, NOW).moves == []


def test_teardown_tasks_stay_with_their_rules_and_the_run_fails_whatever_they_say():
    view = view_of(
        {"a": TaskState.RUNNING, "teardown": TaskState.NONE, "b": TaskState.RUNNING}, fail_fast=True
    )
    view.observe(TaskFacts(0, "a", -1, TaskState.FAILED))
    decision = decide(view, NOW)
    assert ends(view, decision) == {"b": ("cancelled", "fail_fast"), "teardown": ("scheduled", None)}
    assert (decision.run_state, decision.due_at) == (None, None)
    view.observe(TaskFacts(1, "teardown", -1, TaskState.SUCCESS))
    last = decide(view, NOW)
    assert (last.run_state, last.run_reason) == (RunState.FAILED, "fail_fast")


def test_a_failed_teardown_ends_nobody_else():
    view = view_of({"teardown": TaskState.RUNNING, "b": TaskState.RUNNING}, fail_fast=True)
    view.observe(TaskFacts(0, "teardown", -1, TaskState.FAILED))
    assert decide(view, NOW).moves == []


def test_out_of_time_teardown_tasks_end_too():
    view = view_of({"teardown": TaskState.RUNNING}, deadline=NOW, fail_fast=True)
    assert ends(view, decide(view, NOW)) == {"teardown": ("cancelled", "dagrun_timeout")}


def test_a_run_without_the_rules_pays_for_no_look_at_all_of_its_tasks():
    view = view_of({f"t{n}": TaskState.RUNNING for n in range(3)})
    view.observe(TaskFacts(0, "t0", -1, TaskState.FAILED))
    decision = decide(view, LATER)
    assert (decision.moves, decision.due_at, view.needs_past) == ([], None, False)
