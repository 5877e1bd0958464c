"""A drawing says what the graph says: random dags are drawn, and the drawing is read back."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from orch.cli.draw import draw_dag
from orch.cli.draw_boxes import draw_boxes
from orch.cli.draw_nodes import nodes_of
from orch.cli.draw_rows import draw_rows
from orch.cli.draw_text import JOINTS, render
from orch.domain.graph import Graph
from orch.domain.states import TaskState

ROOMY = 500


@st.composite
def connected_dags(draw: st.DrawFn, most: int = 9) -> Graph:
    """Tasks t0, t1 ... where each but the first has an edge with an earlier one, in shuffled order."""
    size = draw(st.integers(2, most))
    names = [f"t{index}" for index in range(size)]
    pairs = [(a, b) for b in range(size) for a in range(b)]
    edges = draw(st.sets(st.sampled_from(pairs), max_size=12))
    edges |= {(draw(st.integers(0, index - 1)), index) for index in range(1, size)}
    graph = Graph()
    for name in draw(st.permutations(names)):
        graph.add_task(name)
    for upstream, downstream in sorted(edges):
        graph.add_edge(names[upstream], names[downstream])
    return graph


def read_lanes(lines: list[str]) -> set[tuple[str, str]]:
    """Follow the lanes as their docstring says one should."""
    edges: set[tuple[str, str]] = set()
    carries: dict[int, str] = {}
    for line in lines:
        gutter, task = line.rsplit("  ", 1)
        own = gutter.index("●")
        touched = [own]
        for step in (-1, 1):
            column = own
            while 0 <= column + 2 * step < len(gutter) and gutter[column + step] == "─":
                column += 2 * step
                touched.append(column)
        joined = [c for c in touched if gutter[c] in "├┼┤╰┴╯●" and c in carries]
        edges |= {(carries[column], task) for column in joined}
        carries = {c: t for c, t in carries.items() if c < len(gutter) and gutter[c] in "│├┼┤"}
        carries[own] = task
    return edges


def read_boxes(lines: list[str], graph: Graph) -> set[tuple[str, str]]:
    """Walk from the right edge of each box along the lines, never leftwards, to the arrows."""
    width = max(len(line) for line in lines)
    cells = [line.ljust(width) for line in lines]
    where = {
        t: (y, line.index(f"│ {t} ")) for y, line in enumerate(cells) for t in graph if f"│ {t} " in line
    }
    task_at = {place: task for task, place in where.items()}
    edges = set()
    for task, (y, x) in where.items():
        steps = [(y, cells[y].index("│", x + 1) + 1, 8)]
        seen = set(steps)
        for row, column, came_by in steps:  # grows while it is read
            glyph = cells[row][column] if column < width else " "
            if glyph == "▶":
                edges.add((task, task_at[row, column + 1]))
            sides = JOINTS.find(glyph)
            if sides > 0 and sides & {1: 2, 2: 1, 8: 4}[came_by]:
                ways = [(row - 1, column, 1), (row + 1, column, 2), (row, column + 1, 8)]
                new = [way for way in ways if sides & way[2] and way not in seen]
                seen.update(new)
                steps += new
    return edges


@given(connected_dags())
def test_lanes_show_exactly_the_edges(graph: Graph) -> None:
    lines = draw_rows([graph], nodes_of(graph, None, str, unicode=True), ROOMY)
    assert read_lanes([render(line, None) for line in lines]) == set(graph.edges())


@given(connected_dags(most=6))
def test_boxes_show_exactly_the_edges_or_are_declined(graph: Graph) -> None:
    lines = draw_boxes(graph, nodes_of(graph, None, str, unicode=True), ROOMY)
    if lines is not None:
        assert read_boxes([render(line, None) for line in lines], graph) == set(graph.edges())


@given(st.lists(st.integers(1, 3), min_size=2, max_size=5))
def test_levels_that_are_fully_joined_are_drawn_as_boxes(sizes: list[int]) -> None:
    graph = Graph()
    levels = [[f"t{level}_{index}" for index in range(size)] for level, size in enumerate(sizes)]
    for task in (task for level in levels for task in level):
        graph.add_task(task)
    for before, after in pairwise(levels):
        for upstream in before:
            for downstream in after:
                graph.add_edge(upstream, downstream)
    lines = draw_dag(graph, width=ROOMY)
    assert lines[0].startswith("╭")
    assert read_boxes(lines, graph) == set(graph.edges())


@given(connected_dags(most=30), st.data())
def test_no_line_is_wider_than_asked_and_ascii_is_ascii(graph: Graph, data: st.DataObject) -> None:
    labels = {task: data.draw(st.text(max_size=30)) for task in graph}
    states = data.draw(st.none() | st.fixed_dictionaries({t: st.sampled_from(TaskState) for t in graph}))
    width = data.draw(st.integers(1, 120))
    for unicode in (True, False):
        lines = draw_dag(graph, states, width=width, unicode=unicode, label=labels.__getitem__)
        assert all(cell_len(line) <= width for line in lines)
        assert unicode or all(line.isascii() for line in lines)
