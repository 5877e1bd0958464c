"""One line per task: lanes or a mark at the left, then the name, then what is said about the state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orch.cli.draw_lanes import lane_rows
from orch.cli.draw_text import Node, Span, cells, fit
from orch.domain.graph import Graph

LEAST_TEXT = 30  # cells that lanes must leave for names and states when these are longer
INDENT = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """A line in the making."""

    gutter: list[Span]
    name: str | None = None
    words: Sequence[Span] = ()


def draw_rows(parts: Sequence[Graph], nodes: Mapping[str, Node], width: int) -> list[list[Span]]:
    """Draw connected graphs one below the other, and the tasks that are connected to nothing last."""
    joined = [part for part in parts if len(part) > 1]
    alone = [part.tasks[0] for part in parts if len(part) == 1]
    blocks = _lane_blocks(joined, nodes, width) or [_waits_for(part, nodes) for part in joined]
    if alone:
        heading = [Entry([Span("not connected to any task:")])] if len(nodes) > 1 else []
        blocks.append([*heading, *(_entry([nodes[task].mark], nodes[task]) for task in alone)])
    entries = [entry for block in blocks for entry in [Entry([]), *block]]
    return _columns(entries[1:], width)


def _entry(gutter: list[Span], node: Node) -> Entry:
    return Entry(gutter, node.name, node.words)


def _lane_blocks(parts: Sequence[Graph], nodes: Mapping[str, Node], width: int) -> list[list[Entry]]:
    """A block of lanes for each part, or nothing when one of them needs too many."""
    longest = max(cells([Span(node.name), *node.words]) + INDENT for node in nodes.values())
    most_lanes = (width - min(longest, LEAST_TEXT)) // 2
    blocks = []
    for part in parts:
        rows = lane_rows(part, max(most_lanes, 1))
        if rows is None:
            return []
        blocks.append([_entry(row.gutter(nodes[row.task].mark), nodes[row.task]) for row in rows])
    return blocks


def _waits_for(part: Graph, nodes: Mapping[str, Node]) -> list[Entry]:
    """The tasks in order, each with the names of what it waits for: the layout of last resort."""
    block = []
    for task in part.topological_order():
        node, names = nodes[task], [nodes[upstream].name for upstream in part.upstream(task)]
        after = [Span(f"{'  ' if node.words else ''}after {', '.join(names)}")] if names else []
        block.append(Entry([node.mark], node.name, [*node.words, *after]))
    return block


def _columns(entries: Sequence[Entry], width: int) -> list[list[Span]]:
    """Names and words start at the same cell on every line; a long name gives way to the words."""
    names = [cells([Span(entry.name)]) for entry in entries if entry.name is not None]
    indent = max(cells(entry.gutter) for entry in entries if entry.name is not None) + INDENT
    room = max(width - indent, 0)
    beside_words = room - INDENT - max(cells(entry.words) for entry in entries)
    for_names = min(max(names), max(beside_words, room // 2))
    return [fit(_line(entry, indent, for_names), width) for entry in entries]


def _line(entry: Entry, indent: int, for_names: int) -> list[Span]:
    if entry.name is None:
        return entry.gutter
    name = fit([Span(entry.name)], for_names)
    return [*fit(entry.gutter, indent), *name, Span(" " * INDENT), *entry.words]
