"""Vertical lanes for the edges and one row per task, in the manner of `git log --graph`.

How to read it: all lines on a task's row lead into the task. A lane that starts below a task carries its
result down to every row that touches the lane (`├ ┼ ┤`), and ends at the last of them (`╰ ┴ ╯`, or the
task itself). A lane drawn straight through a row (`─│─`) has nothing to do with that row.
"""

from dataclasses import dataclass

from orch.cli.draw_text import Span, joint
from orch.domain.graph import Graph


@dataclass(frozen=True, slots=True)
class Row:
    """A task, the column it stands in, the lanes that lead into it, and all lanes above and below."""

    task: str
    column: int
    joined: frozenset[int]
    above: frozenset[int]
    below: frozenset[int]

    @property
    def last_column(self) -> int:
        """The rightmost column that is not blank."""
        return max({self.column} | self.above | self.below)

    def gutter(self, mark: Span) -> list[Span]:
        """The row's lines, with `mark` for the task; two cells per lane, the last one less."""
        touched = {self.column, *self.joined}
        left, right = min(touched), max(touched)
        spans = []
        for column in range(self.last_column + 1):
            spans += [Span("─" if left < column <= right else " "), self._piece(column, mark, left, right)]
        return spans[1:]

    def _piece(self, column: int, mark: Span, left: int, right: int) -> Span:
        if column == self.column:
            return mark
        if column in self.joined:
            return Span(joint(True, column in self.below, column > left, column < right))
        if column in self.above:
            return Span("│")
        return Span("─" if left < column < right else " ")


def lane_rows(graph: Graph, most_lanes: int) -> list[Row] | None:
    """Lay out a connected graph, or return None when it needs more than `most_lanes` lanes."""
    waiting: dict[int, set[str]] = {}  # by lane: the tasks that still wait for what it carries
    rows: list[Row] = []
    ended = None  # where a leaf stands on the row above: a task right below it would look like its follower
    for task in graph.topological_order():
        above = frozenset(waiting)
        joined = frozenset(column for column, tasks in waiting.items() if task in tasks)
        for column in joined:
            waiting[column].remove(task)
            if not waiting[column]:
                del waiting[column]
        own = min(joined - waiting.keys(), default=None)
        if own is None:
            own = next(column for column in range(most_lanes + 2) if column not in above and column != ended)
        if own >= most_lanes:
            return None
        followers = graph.downstream(task)
        if followers:
            waiting[own] = set(followers)
        ended = None if followers else own
        rows.append(Row(task, own, joined, above, frozenset(waiting)))
    return rows
