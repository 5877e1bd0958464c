"""Boxes from left to right, joined by lines: the layout for graphs small and tidy enough for it.

Each level of the graph is a column. Between two columns stands at most one vertical line at any height;
it joins everything that touches it on the left with everything that touches it on the right. A graph
that cannot be said in this language without a false edge is declined, and is drawn as lanes instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from orch.cli.draw_text import Node, Span, cells, fit, joint
from orch.domain.graph import Graph

GAP = 3
MOST_LINES = 30
MOST_SWEEPS = 50


@dataclass(eq=False, slots=True)
class Item:
    """A box in a column, or (without a node) the line of an edge that passes through the column."""

    node: Node | None
    left: "list[Item]" = field(default_factory=list)
    right: "list[Item]" = field(default_factory=list)
    slot: int = 0


def draw_boxes(graph: Graph, nodes: Mapping[str, Node], width: int) -> list[list[Span]] | None:
    """Draw a connected graph, or return None when it is too large or its edges would be ambiguous."""
    columns = _columns(graph, nodes)
    _untangle(columns)
    if not _place(columns) or not all(_is_unambiguous(column) for column in columns):
        return None
    widths = [max(_box_width(item) for item in column) for column in columns]
    tall = any(node.words for node in nodes.values())
    slots = 1 + max(item.slot for column in columns for item in column)
    if sum(widths) + GAP * (len(columns) - 1) > width or slots * (4 if tall else 3) > MOST_LINES:
        return None
    lines = [line for slot in range(slots) for line in _slot_lines(columns, widths, slot, tall)]
    while not any(span.text.strip() for span in lines[-1]):
        lines.pop()  # below an edge that passes under the last box
    return lines


def _columns(graph: Graph, nodes: Mapping[str, Node]) -> list[list[Item]]:
    level = _level_of(graph)
    columns: list[list[Item]] = [[] for _ in range(1 + max(level.values()))]
    boxes = {task: Item(nodes[task]) for task in graph}
    for task in graph:
        columns[level[task]].append(boxes[task])
    for task in graph:
        end, last = boxes[task], level[task]
        for follower in sorted(graph.downstream(task), key=lambda follower: level[follower]):
            while last + 1 < level[follower]:
                last += 1
                passing = Item(None)
                columns[last].append(passing)
                _join(end, passing)
                end = passing
            _join(end, boxes[follower])
    return columns


def _level_of(graph: Graph) -> dict[str, int]:
    """Depth by the longest way from a root; a root stands just left of its first follower."""
    level = {task: depth for depth, tasks in enumerate(graph.levels()) for task in tasks}
    for root in graph.roots():
        level[root] = min((level[follower] for follower in graph.downstream(root)), default=1) - 1
    return level


def _join(left: Item, right: Item) -> None:
    left.right.append(right)
    right.left.append(left)


def _untangle(columns: list[list[Item]]) -> None:
    """Order each column by the average height of its neighbours, which removes most crossings."""
    for _ in range(2):
        for before, column in pairwise(columns):
            _sort_by_neighbours(column, before, "left")
        for after, column in pairwise(reversed(columns)):
            _sort_by_neighbours(column, after, "right")


def _sort_by_neighbours(column: list[Item], beside: list[Item], side: str) -> None:
    height = {id(item): index for index, item in enumerate(beside)}
    own = {id(item): float(index) for index, item in enumerate(column)}

    def wanted(item: Item) -> float:
        neighbours = item.left if side == "left" else item.right
        return sum(height[id(n)] for n in neighbours) / len(neighbours) if neighbours else own[id(item)]

    column.sort(key=wanted)


def _place(columns: list[list[Item]]) -> bool:
    """Give each item the topmost slot below the one above it and not above all its neighbours."""
    for _ in range(MOST_SWEEPS):
        moved = False
        for column in columns:
            above = -1
            for item in column:
                wanted = [
                    above + 1,
                    *(min(n.slot for n in side) for side in (item.left, item.right) if side),
                ]
                moved |= max(wanted) > item.slot
                above = item.slot = max(item.slot, *wanted)
        if not moved:
            return True
    return False


def _groups(column: list[Item]) -> list[tuple[list[Item], list[Item]]]:
    """What stands left and right of each separate tangle of lines between this column and the next."""
    groups = []
    seen: set[int] = set()
    for item in column:
        if id(item) in seen or not item.right:
            continue
        sources, targets = [item], list(item.right)
        for target in targets:
            sources += [source for source in target.left if source not in sources]
            targets += [t for source in sources for t in source.right if t not in targets]
        seen.update(id(source) for source in sources)
        groups.append((sources, targets))
    return groups


def _span(group: tuple[list[Item], list[Item]]) -> tuple[int, int]:
    slots = [item.slot for side in group for item in side]
    return min(slots), max(slots)


def _is_unambiguous(column: list[Item]) -> bool:
    groups = _groups(column)
    complete = all(len(source.right) == len(targets) for sources, targets in groups for source in sources)
    spans = sorted(_span(group) for group in groups)
    return complete and all(upper[1] < lower[0] for upper, lower in pairwise(spans))


def _box_width(item: Item) -> int:
    if item.node is None:
        return 0
    return 4 + max(cells([Span(item.node.name)]), cells(_state_line(item.node)))


def _state_line(node: Node) -> list[Span]:
    return [node.mark, Span(" "), *node.words] if node.mark.state else list(node.words)


def _slot_lines(columns: list[list[Item]], widths: list[int], slot: int, tall: bool) -> list[list[Span]]:
    lines: list[list[Span]] = [[] for _ in range(4 if tall else 3)]
    for column, width in zip(columns, widths, strict=True):
        item = next((item for item in column if item.slot == slot), None)
        after = _gap(column, slot, len(lines)) if column is not columns[-1] else [""] * len(lines)
        for line, box, gap in zip(lines, _box(item, width, tall), after, strict=True):
            line += [*box, Span(gap)]
    return lines


def _box(item: Item | None, width: int, tall: bool) -> list[list[Span]]:
    if item is None or item.node is None:
        rows = ["", "─" * width if item else "", "", *[""] * tall]
        return [fit([Span(row)], width) for row in rows]
    edge, inner = "─" * (width - 2), width - 4
    contents = [[Span(item.node.name)], *[_state_line(item.node)] * tall]
    middle = [[Span("│ "), *fit(content, inner), Span(" │")] for content in contents]
    return [[Span(f"╭{edge}╮")], *middle, [Span(f"╰{edge}╯")]]


def _gap(column: list[Item], slot: int, height: int) -> list[str]:
    """The lines right of a column at one slot: the second of them touches the boxes."""
    for sources, targets in _groups(column):
        top, bottom = _span((sources, targets))
        if top <= slot <= bottom:
            above, below = " │ " if slot > top else "   ", " │ " if slot < bottom else "   "
            left, right = (any(item.slot == slot for item in side) for side in (sources, targets))
            arrow = any(item.slot == slot and item.node for item in targets)
            middle = joint(slot > top, slot < bottom, left, right)
            tip = "▶" if arrow else "─" if right else " "
            return [above, ("─" if left else " ") + middle + tip, *[below] * (height - 2)]
    return [" " * GAP] * height
