"""Random graphs, compared with definitions that are slow and obviously right."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch.domain.graph import Graph
from orch.errors import CycleError


@st.composite
def graphs(draw: st.DrawFn, max_tasks: int = 9, acyclic: bool = True) -> Graph:
    """Random tasks in random order; in an acyclic graph edges go up in alphabetical order only."""
    names = sorted(draw(st.sets(st.text("abcdefgh", min_size=1, max_size=3), max_size=max_tasks)))
    pairs = [(a, b) for a in names for b in names if (a < b if acyclic else a != b)]
    graph = Graph()
    for name in draw(st.permutations(names)):
        graph.add_task(name)
    for pair in draw(st.lists(st.sampled_from(pairs), max_size=30)) if pairs else []:
        graph.add_edge(*pair)
    return graph


def reachable(graph: Graph) -> set[tuple[str, str]]:
    """The transitive closure, by adding two-step edges until nothing changes."""
    closure = set(graph.edges())
    while True:
        longer = {(a, d) for a, b in closure for c, d in closure if b == c} - closure
        if not longer:
            return closure
        closure |= longer


def all_paths(graph: Graph) -> list[list[str]]:
    paths = [[root] for root in graph.roots()]
    for path in paths:  # grows while it is read
        paths.extend([*path, follower] for follower in graph.downstream(path[-1]))
    return paths


@given(graphs())
def test_order_holds_each_task_once_and_respects_every_edge(graph: Graph) -> None:
    order = graph.topological_order()
    position = {task: index for index, task in enumerate(order)}
    assert sorted(order) == sorted(graph.tasks)
    assert all(position[upstream] < position[downstream] for upstream, downstream in graph.edges())


@given(graphs())
def test_order_always_takes_the_first_added_of_the_ready_tasks(graph: Graph) -> None:
    done: list[str] = []
    for task in graph.topological_order():
        ready = [t for t in graph if t not in done and set(graph.upstream(t)) <= set(done)]
        assert task == ready[0]
        done.append(task)


@given(graphs(acyclic=False))
def test_there_is_an_order_exactly_when_no_task_reaches_itself(graph: Graph) -> None:
    if not any(start == end for start, end in reachable(graph)):
        assert graph.find_cycle() == []
        assert len(graph.topological_order()) == len(graph)
        return
    with pytest.raises(CycleError) as caught:
        graph.topological_order()
    path = caught.value.path
    assert path[0] == path[-1]
    assert len(set(path)) == len(path) - 1 >= 2
    assert set(pairwise(path)) <= set(graph.edges())


@given(graphs())
def test_levels_are_the_lengths_of_the_longest_paths(graph: Graph) -> None:
    longest: dict[str, int] = {}
    for path in all_paths(graph):
        longest[path[-1]] = max(longest.get(path[-1], 0), len(path) - 1)
    levels = graph.levels()
    assert {task: depth for depth, level in enumerate(levels) for task in level} == longest
    assert all(level == [task for task in graph if task in level] for level in levels)


@given(graphs(acyclic=False), st.data())
def test_ancestors_and_descendants_are_the_transitive_closure(graph: Graph, data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.sampled_from(graph.tasks))) if graph else set()
    closure = reachable(graph)
    assert graph.descendants(chosen) == {b for a, b in closure if a in chosen}
    assert graph.ancestors(chosen) == {a for a, b in closure if b in chosen}


@given(graphs(acyclic=False))
def test_breadth_first_visits_by_distance_and_depth_first_the_same_tasks(graph: Graph) -> None:
    for start in graph:
        distance = {start: 0}
        for steps in range(len(graph)):
            for task in [task for task, far in distance.items() if far == steps]:
                for follower in graph.downstream(task):
                    distance.setdefault(follower, steps + 1)
        walk = graph.breadth_first(start)
        assert [distance[task] for task in walk] == sorted(distance.values())
        assert set(graph.depth_first(start)) == set(walk)


@given(graphs(acyclic=False))
def test_depth_first_goes_on_from_the_deepest_task_that_has_an_unseen_neighbour(graph: Graph) -> None:
    for start in graph:
        walk = graph.depth_first(start)
        for index, task in enumerate(walk[1:], start=1):
            seen = set(walk[:index])
            parent = next(t for t in reversed(walk[:index]) if set(graph.downstream(t)) - seen)
            assert task == next(t for t in graph.downstream(parent) if t not in seen)


@given(graphs(), st.data())
def test_critical_path_is_the_heaviest_of_all_paths(graph: Graph, data: st.DataObject) -> None:
    weights = {task: data.draw(st.integers(0, 20), label=task) for task in graph}
    path, total = graph.critical_path(weights)
    heaviest = max((sum(weights[task] for task in p) for p in all_paths(graph)), default=0)
    assert total == heaviest == sum(weights[task] for task in path)
    assert set(pairwise(path)) <= set(graph.edges())
    assert not path or (path[0] in graph.roots() and path[-1] in graph.leaves())


@given(graphs(acyclic=False), st.data())
def test_subgraph_is_the_chosen_tasks_and_the_edges_between_them(graph: Graph, data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.sampled_from(graph.tasks))) if graph else set()
    part = graph.subgraph(chosen)
    assert part.tasks == tuple(task for task in graph if task in chosen)
    assert part.edges() == [(a, b) for a, b in graph.edges() if {a, b} <= chosen]
