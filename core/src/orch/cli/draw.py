"""A dag drawn with characters: every task, every edge and every state, within the width of a terminal."""

from collections.abc import Callable, Iterable, Mapping

from orch.cli.draw_boxes import MOST_LINES, draw_boxes
from orch.cli.draw_nodes import SYMBOLS, clean, nodes_of, symbol
from orch.cli.draw_rows import draw_rows
from orch.cli.draw_text import ASCII, Node, Span, Style, cells, fit, render
from orch.domain.graph import Graph

MOST_BOXES = 16


def draw_dag(
    graph: Graph,
    states: Mapping[str, str] | None = None,
    *,
    width: int = 100,
    unicode: bool = True,
    label: Callable[[str], str] = str,
    style: Style | None = None,
) -> list[str]:
    """Draw the graph as lines of at most `width` cells; equal input gives equal lines.

    A small, tidy graph becomes boxes from left to right, any other one line per task with lanes for the
    edges, and one too tangled for the width a list of what each task waits for. Sixteen or more tasks
    with the same neighbours become one entry. A cycle is a `CycleError`.

    `states` maps task ids to state words; a task without one counts as `none`. `label` turns a task id
    into the name to show. `style(state, text)` may add colour to what is said about a state.
    """
    nodes = nodes_of(graph, states, label, unicode)
    lines = _lines(_connected_parts(graph.subgraph(nodes)), nodes, max(width, 1))
    texts = [render(line, style) for line in lines]
    return texts if unicode else [text.translate(ASCII) for text in texts]


def legend(
    states: Iterable[str], *, width: int = 100, unicode: bool = True, style: Style | None = None
) -> list[str]:
    """Show the symbols of the given state words, each once, in lines of at most `width` cells."""
    given = set(states)
    lines: list[list[Span]] = []
    for state in [*(known for known in SYMBOLS if known in given), *sorted(given - SYMBOLS.keys())]:
        entry = Span(f"{symbol(state, unicode)} {clean(state, unicode)}", state)
        if lines and cells([*lines[-1], Span("   "), entry]) <= width:
            lines[-1] += [Span("   "), entry]
        else:
            lines.append([entry])
    return [render(fit(line, width), style) for line in lines]


def _lines(parts: list[Graph], nodes: Mapping[str, Node], width: int) -> list[list[Span]]:
    if not parts:
        return []
    if len(nodes) <= MOST_BOXES:
        boxes = [draw_boxes(part, nodes, width) for part in parts]
        lines = [line for part in boxes for line in part or ()]
        if all(boxes) and len(lines) <= MOST_LINES:
            return lines
    return draw_rows(parts, nodes, width)


def _connected_parts(graph: Graph) -> list[Graph]:
    """Cut the graph where no edge is cut, in the order of the first tasks."""
    parts = []
    seen: set[str] = set()
    for start in graph:
        if start not in seen:
            part = {start: None}
            stack = [start]
            while stack:
                task = stack.pop()
                near = [t for t in (*graph.upstream(task), *graph.downstream(task)) if t not in part]
                part.update(dict.fromkeys(near))
                stack += near
            seen.update(part)
            parts.append(graph.subgraph(part))
    return parts
