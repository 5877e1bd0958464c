"""The graph of a dag: task ids and the edges that say which task waits for which.

Every algorithm keeps its own stack or queue, so a chain may be longer than Python's recursion limit.
In the complexities V is the number of tasks and E the number of edges looked at.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import Literal

from orch.errors import CycleError, GraphError, nearest

Direction = Literal["upstream", "downstream"]
"""Which way to follow the edges: towards what a task waits for, or towards what waits for it."""


class Graph:
    """A directed graph of task ids, stored as two adjacency lists.

    A list of neighbours is a dict whose values mean nothing: it keeps the order of insertion and accepts
    a repeated edge once. All results follow that order, so equal input gives equal output.
    """

    def __init__(self) -> None:
        self._downstream: dict[str, dict[str, None]] = {}
        self._upstream: dict[str, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._downstream)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._downstream

    def __iter__(self) -> Iterator[str]:
        return iter(self._downstream)

    def __repr__(self) -> str:
        return f"<Graph of {len(self)} tasks and {len(self.edges())} edges>"

    # Building

    def add_task(self, task_id: str) -> None:
        """Add a task without edges; an id that is there already is an error. O(1)."""
        if task_id in self:
            raise GraphError(f"task {task_id!r} is in the graph already; give one of the two another id")
        self._downstream[task_id] = {}
        self._upstream[task_id] = {}

    def add_edge(self, upstream: str, downstream: str) -> None:
        """Let `downstream` wait for `upstream`; adding the same edge again changes nothing. O(1)."""
        self._require(upstream)
        self._require(downstream)
        if upstream == downstream:
            raise CycleError([upstream, downstream])
        self._downstream[upstream][downstream] = None
        self._upstream[downstream][upstream] = None

    # Looking around

    @property
    def tasks(self) -> tuple[str, ...]:
        """All task ids in the order they were added. O(V)."""
        return tuple(self._downstream)

    def edges(self) -> list[tuple[str, str]]:
        """All `(upstream, downstream)` pairs, grouped by upstream task. O(V + E)."""
        return [(task, follower) for task, followers in self._downstream.items() for follower in followers]

    def upstream(self, task_id: str) -> tuple[str, ...]:
        """The tasks that `task_id` waits for directly. O(1) per task returned."""
        self._require(task_id)
        return tuple(self._upstream[task_id])

    def downstream(self, task_id: str) -> tuple[str, ...]:
        """The tasks that wait for `task_id` directly. O(1) per task returned."""
        self._require(task_id)
        return tuple(self._downstream[task_id])

    def roots(self) -> list[str]:
        """The tasks that wait for nothing. O(V)."""
        return [task for task, upstream in self._upstream.items() if not upstream]

    def leaves(self) -> list[str]:
        """The tasks that nothing waits for. O(V)."""
        return [task for task, downstream in self._downstream.items() if not downstream]

    # Order

    def topological_order(self) -> list[str]:
        """All tasks, each after everything it waits for; a cycle is a `CycleError` that shows it.

        Kahn's algorithm: take a task that waits for nothing, cross it off its followers' lists, repeat.
        Of several such tasks the one added first is taken, so a graph built in a valid order keeps it.
        O(V log V + E), the logarithm being the price of that stability.
        """
        tasks = self.tasks
        position = {task: index for index, task in enumerate(tasks)}
        waits_for = {task: len(upstream) for task, upstream in self._upstream.items()}
        ready = [position[task] for task in self.roots()]
        heapify(ready)
        order = []
        while ready:
            task = tasks[heappop(ready)]
            order.append(task)
            for follower in self._downstream[task]:
                waits_for[follower] -= 1
                if waits_for[follower] == 0:
                    heappush(ready, position[follower])
        if len(order) < len(tasks):
            raise CycleError(self.find_cycle())
        return order

    def find_cycle(self) -> list[str]:
        """A path along real edges that ends where it began, or an empty list when there is none.

        Depth-first search. A task is unseen, on the path, or finished; an edge from the path's end back
        to a task on the path closes a cycle, and a finished task leads to none. O(V + E).
        """
        finished: set[str] = set()
        for start in self._downstream:
            if start not in finished:
                cycle = self._cycle_reached_from(start, finished)
                if cycle:
                    return cycle
        return []

    def levels(self) -> list[list[str]]:
        """The tasks by depth: level 0 waits for nothing, level n for at least one task of level n - 1.

        Tasks of one level do not depend on each other. O(V log V + E).
        """
        depth: dict[str, int] = {}
        for task in self.topological_order():
            depth[task] = 1 + max((depth[upstream] for upstream in self._upstream[task]), default=-1)
        levels: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
        for task in self._downstream:
            levels[depth[task]].append(task)
        return levels

    def critical_path(self, weights: Mapping[str, float] | None = None) -> tuple[list[str], float]:
        """The heaviest path from a root to a leaf, and its weight: no run can be faster than this.

        `weights` are durations in any unit, not negative; a task without one weighs 1. Dynamic programming
        over the topological order: the best path to a task extends the best one to its upstream tasks.
        O(V log V + E).
        """
        weight_of = self._checked_weights(weights or {})
        total: dict[str, float] = {}
        came_from: dict[str, str | None] = {}
        for task in self.topological_order():
            before = max(self._upstream[task], key=total.__getitem__, default=None)
            came_from[task] = before
            total[task] = weight_of[task] + (0.0 if before is None else total[before])
        end = max(self.leaves(), key=total.__getitem__, default=None)
        path = []
        step = end
        while step is not None:
            path.append(step)
            step = came_from[step]
        return path[::-1], 0.0 if end is None else total[end]

    # Reaching

    def depth_first(self, start: str, direction: Direction = "downstream") -> list[str]:
        """`start` and all it reaches, following each branch to its end before the next. O(V + E)."""
        self._require(start)
        neighbours = self._neighbours(direction)
        seen: dict[str, None] = {}
        stack = [start]
        while stack:
            task = stack.pop()
            if task not in seen:
                seen[task] = None
                stack.extend(reversed(neighbours[task]))
        return list(seen)

    def breadth_first(self, start: str, direction: Direction = "downstream") -> list[str]:
        """`start` and all it reaches, nearest first. O(V + E)."""
        self._require(start)
        neighbours = self._neighbours(direction)
        seen = {start: None}
        queue = deque([start])
        while queue:
            for task in neighbours[queue.popleft()]:
                if task not in seen:
                    seen[task] = None
                    queue.append(task)
        return list(seen)

    def ancestors(self, task_ids: Iterable[str]) -> set[str]:
        """All that any of the given tasks waits for, directly or not. O(V + E)."""
        return self._reached(task_ids, "upstream")

    def descendants(self, task_ids: Iterable[str]) -> set[str]:
        """All that waits for any of the given tasks, directly or not. O(V + E)."""
        return self._reached(task_ids, "downstream")

    def subgraph(self, task_ids: Iterable[str]) -> "Graph":
        """A new graph of the given tasks and the edges between them, in this graph's order. O(V + E)."""
        chosen = dict.fromkeys(task_ids)
        for task in chosen:
            self._require(task)
        graph = Graph()
        for task in self._downstream:
            if task in chosen:
                graph.add_task(task)
        for upstream, downstream in self.edges():
            if upstream in chosen and downstream in chosen:
                graph.add_edge(upstream, downstream)
        return graph

    # Private

    def _require(self, task_id: str) -> None:
        if task_id not in self:
            raise GraphError(f"unknown task {task_id!r}{nearest(task_id, self)}")

    def _neighbours(self, direction: Direction) -> dict[str, dict[str, None]]:
        return self._downstream if direction == "downstream" else self._upstream

    def _reached(self, task_ids: Iterable[str], direction: Direction) -> set[str]:
        neighbours = self._neighbours(direction)
        stack = list(task_ids)
        for task in stack:
            self._require(task)
        reached: set[str] = set()
        while stack:
            found = neighbours[stack.pop()].keys() - reached
            reached |= found
            stack.extend(found)
        return reached

    def _cycle_reached_from(self, start: str, finished: set[str]) -> list[str]:
        path = {start: iter(self._downstream[start])}  # task -> its edges not yet followed
        while path:
            last = next(reversed(path))
            following = next((task for task in path[last] if task not in finished), None)
            if following is None:
                path.popitem()
                finished.add(last)
            elif following in path:
                tasks = list(path)
                return [*tasks[tasks.index(following) :], following]
            else:
                path[following] = iter(self._downstream[following])
        return []

    def _checked_weights(self, weights: Mapping[str, float]) -> dict[str, float]:
        checked = {task: weights.get(task, 1.0) for task in self}
        for task, weight in checked.items():
            if not weight >= 0:  # also true of nan
                raise GraphError(f"task {task!r} weighs {weight}; a weight is a duration of 0 or more")
        return checked
