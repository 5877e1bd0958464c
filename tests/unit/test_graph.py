"""The graph: building, order, reach, and size."""

from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest

from orch.domain.graph import Graph
from orch.errors import CycleError, GraphError

HUGE = 100_000


def graph_of(tasks: Iterable[str], edges: Iterable[tuple[str, str]] = ()) -> Graph:
    graph = Graph()
    for task in tasks:
        graph.add_task(task)
    for upstream, downstream in edges:
        graph.add_edge(upstream, downstream)
    return graph


def diamond() -> Graph:
    return graph_of("abcd", ["ab", "ac", "bd", "cd"])  # type: ignore[list-item]  # "ab" unpacks like a pair


def chain(length: int) -> Graph:
    names = [f"t{index}" for index in range(length)]
    return graph_of(names, pairwise(names))


def fan(width: int) -> Graph:
    middle = [f"t{index}" for index in range(width)]
    edges = [("start", task) for task in middle] + [(task, "end") for task in middle]
    return graph_of(["start", *middle, "end"], edges)


def test_tasks_and_neighbours_keep_their_order_of_insertion() -> None:
    graph = graph_of(["z", "b", "a"], [("z", "a"), ("z", "b")])
    assert graph.tasks == ("z", "b", "a")
    assert list(graph) == ["z", "b", "a"]
    assert graph.downstream("z") == ("a", "b")
    assert graph.upstream("a") == ("z",)
    assert graph.edges() == [("z", "a"), ("z", "b")]


def test_length_membership_roots_and_leaves() -> None:
    graph = graph_of(["a", "b", "alone"], [("a", "b")])
    assert len(graph) == 3
    assert "alone" in graph
    assert "c" not in graph
    assert graph.roots() == ["a", "alone"]
    assert graph.leaves() == ["b", "alone"]
    assert repr(graph) == "<Graph of 3 tasks and 1 edges>"


def test_empty_graph_answers_every_question() -> None:
    graph = Graph()
    assert graph.tasks == ()
    assert graph.topological_order() == []
    assert graph.levels() == []
    assert graph.find_cycle() == []
    assert graph.critical_path() == ([], 0.0)
    assert graph.descendants([]) == set()
    assert graph.subgraph([]).tasks == ()


def test_repeated_edge_counts_once() -> None:
    graph = graph_of("ab", [("a", "b"), ("a", "b")])
    assert graph.edges() == [("a", "b")]
    assert graph.topological_order() == ["a", "b"]


def test_repeated_task_is_refused() -> None:
    with pytest.raises(GraphError, match="task 'load' is in the graph already"):
        graph_of(["load", "load"])


@pytest.mark.parametrize(
    "use",
    [
        lambda graph: graph.add_edge("load", "extrakt"),
        lambda graph: graph.add_edge("extrakt", "load"),
        lambda graph: graph.upstream("extrakt"),
        lambda graph: graph.downstream("extrakt"),
        lambda graph: graph.depth_first("extrakt"),
        lambda graph: graph.breadth_first("extrakt"),
        lambda graph: graph.ancestors(["load", "extrakt"]),
        lambda graph: graph.descendants(["extrakt"]),
        lambda graph: graph.subgraph(["extrakt"]),
    ],
)
def test_unknown_task_is_named_with_the_nearest_known_one(use: Callable[[Graph], object]) -> None:
    graph = graph_of(["extract", "load"])
    with pytest.raises(GraphError, match="unknown task 'extrakt'; did you mean 'extract'"):
        use(graph)
    assert graph.edges() == []


def test_edge_to_itself_is_a_cycle() -> None:
    graph = graph_of("a")
    with pytest.raises(CycleError, match="a -> a"):
        graph.add_edge("a", "a")


def test_cycle_error_shows_the_cycle_and_nothing_before_it() -> None:
    graph = graph_of("xabcy", [("x", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "y")])
    with pytest.raises(CycleError, match="a -> b -> c -> a") as caught:
        graph.topological_order()
    assert caught.value.path == ["a", "b", "c", "a"]


@pytest.mark.parametrize("ask", [Graph.topological_order, Graph.levels, Graph.critical_path])
def test_everything_that_needs_an_order_refuses_a_cycle(ask: Callable[[Graph], object]) -> None:
    with pytest.raises(CycleError):
        ask(graph_of("ab", [("a", "b"), ("b", "a")]))


def test_order_prefers_the_task_added_first() -> None:
    graph = graph_of(["a", "b", "c", "d"], [("a", "b"), ("c", "d")])
    assert graph.topological_order() == ["a", "b", "c", "d"]


def test_order_puts_upstream_first_whatever_the_insertion() -> None:
    graph = graph_of(["c", "b", "a", "free"], [("a", "b"), ("b", "c")])
    assert graph.topological_order() == ["a", "b", "c", "free"]


def test_level_is_the_longest_way_from_a_root() -> None:
    graph = graph_of("abcde", [("a", "b"), ("b", "c"), ("a", "c"), ("a", "e")])
    assert graph.levels() == [["a", "d"], ["b", "e"], ["c"]]


def test_depth_first_ends_a_branch_before_the_next() -> None:
    graph = graph_of("abcdef", [("a", "b"), ("a", "c"), ("b", "d"), ("d", "f"), ("c", "f"), ("c", "e")])
    assert graph.depth_first("a") == ["a", "b", "d", "f", "c", "e"]
    assert graph.depth_first("f", "upstream") == ["f", "d", "b", "a", "c"]


def test_breadth_first_visits_the_nearest_first() -> None:
    graph = graph_of("abcdef", [("a", "b"), ("a", "c"), ("b", "d"), ("d", "f"), ("c", "f"), ("c", "e")])
    assert graph.breadth_first("a") == ["a", "b", "c", "d", "f", "e"]
    assert graph.breadth_first("f", "upstream") == ["f", "d", "c", "b", "a"]


def test_a_walk_of_a_cyclic_graph_ends() -> None:
    graph = graph_of("ab", [("a", "b"), ("b", "a")])
    assert graph.depth_first("a") == graph.breadth_first("a") == ["a", "b"]
    assert graph.descendants(["a"]) == {"a", "b"}


def test_ancestors_and_descendants_hold_a_given_task_only_if_another_reaches_it() -> None:
    graph = diamond()
    assert graph.descendants(["b"]) == {"d"}
    assert graph.descendants(["a", "b"]) == {"b", "c", "d"}
    assert graph.ancestors(["d"]) == {"a", "b", "c"}
    assert graph.ancestors(["a"]) == set()


def test_critical_path_without_weights_is_the_longest_chain() -> None:
    graph = graph_of("abcd", [("a", "d"), ("a", "b"), ("b", "c"), ("c", "d")])
    assert graph.critical_path() == (["a", "b", "c", "d"], 4.0)


def test_critical_path_follows_the_weights_and_counts_a_missing_one_as_one() -> None:
    assert diamond().critical_path({"b": 1, "c": 5, "not_here": 99}) == (["a", "c", "d"], 7.0)


def test_critical_path_of_weightless_tasks_still_runs_from_root_to_leaf() -> None:
    assert diamond().critical_path(dict.fromkeys("abcd", 0)) == (["a", "b", "d"], 0.0)


@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_weight_that_is_no_duration_is_refused(weight: float) -> None:
    with pytest.raises(GraphError, match="task 'b' weighs"):
        diamond().critical_path({"b": weight})


def test_subgraph_keeps_order_and_the_edges_inside() -> None:
    part = diamond().subgraph(["d", "c", "a"])
    assert part.tasks == ("a", "c", "d")
    assert part.edges() == [("a", "c"), ("c", "d")]


@pytest.mark.timeout(60)  # a hundred times what it takes; a quadratic algorithm needs minutes
@pytest.mark.parametrize("build", [chain, fan])
def test_a_hundred_thousand_tasks_take_seconds_and_no_recursion(build: Callable[[int], Graph]) -> None:
    graph = build(HUGE)
    first, last = graph.roots()[0], graph.leaves()[0]
    assert len(graph.topological_order()) == len(graph)
    assert sum(len(level) for level in graph.levels()) == len(graph)
    assert len(graph.depth_first(first)) == len(graph.breadth_first(last, "upstream")) == len(graph)
    assert len(graph.descendants([first])) == len(graph.ancestors([last])) == len(graph) - 1
    assert graph.critical_path()[1] == len(graph.levels())
    assert len(graph.subgraph(graph.tasks)) == len(graph)


def test_a_cycle_of_a_hundred_thousand_tasks_is_found() -> None:
    graph = chain(HUGE)
    graph.add_edge(f"t{HUGE - 1}", "t0")
    assert len(graph.find_cycle()) == HUGE + 1
