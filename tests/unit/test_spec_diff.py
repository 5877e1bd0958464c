"""The difference of two versions: each field that says something else, and nothing more."""

from datetime import UTC, datetime

from orch.domain.dagspec import DagSpec, RetrySpec, TaskSpec
from orch.domain.spec_diff import SpecDiff, compare

BEFORE = DagSpec("d", (TaskSpec("a", "X"), TaskSpec("b", "X", ("a",)), TaskSpec("c", "X", ("a",))))


def test_equal_specs_do_not_differ_whatever_the_order_of_their_tasks() -> None:
    assert compare(BEFORE, DagSpec("d", BEFORE.tasks[::-1])) == SpecDiff()


def test_tasks_and_edges_that_come_and_go_are_named() -> None:
    after = DagSpec("d", (TaskSpec("a", "X"), TaskSpec("b", "X"), TaskSpec("z", "X", ("b",))))
    diff = compare(BEFORE, after)
    assert (diff.added, diff.removed, diff.changed) == (("z",), ("c",), {})
    assert diff.edges_added == (("b", "z"),)
    assert diff.edges_removed == (("a", "b"), ("a", "c"))


def test_a_changed_task_shows_both_values_of_each_field_also_of_its_retries() -> None:
    tasks = (TaskSpec("a", "Y", retry=RetrySpec(2), inputs=(("b", "key"),)), *BEFORE.tasks[1:])
    assert compare(BEFORE, DagSpec("d", tasks)).changed == {
        "a": {"operator": ("X", "Y"), "retry.retries": (0, 2), "inputs": ([], [["b", "key"]])}
    }


def test_schedule_and_limits_of_the_dag_are_compared_as_plain_values() -> None:
    after = DagSpec(
        "d", BEFORE.tasks, schedule="@daily", start_date=datetime(2024, 1, 1, tzinfo=UTC), tags=("t",)
    )
    assert compare(BEFORE, after).dag == {
        "schedule": (None, "@daily"),
        "start_date": (None, "2024-01-01T00:00:00+00:00"),
        "tags": ([], ["t"]),
    }
