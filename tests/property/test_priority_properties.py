"""Weight rules on random DAGs, against a plain walk from each task."""

from hypothesis import given
from hypothesis import strategies as st

from orch.domain import priorities
from orch.domain.dagspec import DagSpec, TaskSpec
from orch.domain.priorities import total_weights


@st.composite
def specs(draw: st.DrawFn) -> DagSpec:
    size = draw(st.integers(1, 25))
    density = draw(st.sampled_from([1, 2, 5]))
    tasks = []
    for number in range(size):
        upstream = draw(st.lists(st.integers(0, number - 1), max_size=density, unique=True)) if number else []
        weight = draw(st.one_of(st.integers(-3, 3), st.integers(-(2**31) + 1, 2**31 - 1)))
        names = tuple(f"t{other}" for other in sorted(upstream))
        tasks.append(TaskSpec(f"t{number}", "Test", names, priority_weight=weight))
    return DagSpec("d", tuple(draw(st.permutations(tasks))))


@given(specs(), st.sampled_from(["downstream", "upstream"]), st.sampled_from([1, 3, 64]))
def test_each_task_counts_all_that_it_reaches_once(spec, direction, block):
    before, priorities._BLOCK = priorities._BLOCK, block  # small blocks, so that small DAGs have several
    try:
        totals = total_weights(spec, direction)
    finally:
        priorities._BLOCK = before
    for task in spec.tasks:
        reached = set(spec.graph.breadth_first(task.task_id, direction))
        assert totals[task.task_id] == sum(spec.by_id[each].priority_weight for each in reached)
