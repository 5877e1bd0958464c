"""Priorities: what the weight rules of tasks make of their weights."""

from collections.abc import Mapping
from dataclasses import replace

from orch.domain.dagspec import DagSpec
from orch.domain.graph import Direction, Graph

ABSOLUTE = "absolute"
REACHING: Mapping[str, Direction] = {"downstream": "downstream", "upstream": "upstream"}
"""The rules that add up weights, with the way they look."""
BUILT_IN = (ABSOLUTE, *REACHING)
LARGEST = 2**31 - 1
"""Priorities are stored as 32-bit numbers; what a rule makes beyond that is cut off."""

_BLOCK = 4096
"""Tasks whose reachability is computed at once: as bits of one number for each task."""


def with_priorities(spec: DagSpec) -> DagSpec:
    """Return the spec with the priorities of tasks whose weight rule is `downstream` or `upstream`."""
    for rule, direction in REACHING.items():
        chosen = {task.task_id for task in spec.tasks if task.weight_rule == rule}
        if chosen:
            totals = total_weights(spec, direction)
            spec = assign(spec, {task_id: totals[task_id] for task_id in chosen})
    return spec


def assign(spec: DagSpec, priorities: Mapping[str, int]) -> DagSpec:
    """Return the spec with these priorities, cut off at the largest and smallest number that can be stored."""
    tasks = tuple(
        replace(task, priority=max(-LARGEST, min(LARGEST, priorities[task.task_id])))
        if task.task_id in priorities
        else task
        for task in spec.tasks
    )
    return replace(spec, tasks=tasks)


def total_weights(spec: DagSpec, direction: Direction) -> dict[str, int]:
    """Return for each task its weight and the weights of all tasks that it reaches, each of them once.

    O(V + E) where no two ways lead to one task. Else every task is asked which of 4096 others it reaches, as one
    number of 4096 bits, for all blocks of 4096: O((V + E) * V / 64) machine words, for any weights.
    """
    weights = {task.task_id: task.priority_weight for task in spec.tasks}
    order = spec.graph.topological_order()
    if direction == "downstream":
        order.reverse()
    following = _neighbours(spec.graph, direction)
    totals = _totals_of_trees(order, following, weights)
    open_tasks = [task for task in order if task not in totals]
    return totals | _totals_of_meshes(order, open_tasks, following, weights) if open_tasks else totals


def _neighbours(graph: Graph, direction: Direction) -> dict[str, tuple[str, ...]]:
    look = graph.downstream if direction == "downstream" else graph.upstream
    return {task: look(task) for task in graph}


def _totals_of_trees(
    order: list[str], following: Mapping[str, tuple[str, ...]], weights: Mapping[str, int]
) -> dict[str, int]:
    """Return the totals of tasks below which no two ways meet, or that only lengthen the way of one other task."""
    ways_to: dict[str, int] = {}
    for tasks in following.values():
        for task in tasks:
            ways_to[task] = ways_to.get(task, 0) + 1
    totals: dict[str, int] = {}
    trees: set[str] = set()
    for task in order:
        after = following[task]
        is_tree = all(each in trees and ways_to[each] == 1 for each in after)
        if is_tree:
            trees.add(task)
        if is_tree or (len(after) == 1 and after[0] in totals):
            totals[task] = weights[task] + sum(totals[each] for each in after)
    return totals


def _totals_of_meshes(
    order: list[str],
    open_tasks: list[str],
    following: Mapping[str, tuple[str, ...]],
    weights: Mapping[str, int],
) -> dict[str, int]:
    totals = dict.fromkeys(open_tasks, 0)
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        bits = {task: 1 << number for number, task in enumerate(block)}
        weigh = _Weigher([weights[task] for task in block])
        reached: dict[str, int] = {}
        for task in order[start:]:  # who comes earlier in the order reaches nobody of this block
            mask = bits.get(task, 0)
            for each in following[task]:
                mask |= reached.get(each, 0)
            if mask:
                reached[task] = mask
                if task in totals:
                    totals[task] += weigh(mask)
    return totals


class _Weigher:
    """Adds up the weights of the tasks in a mask: one count of bits for each binary digit that the weights have."""

    def __init__(self, weights: list[int]) -> None:
        self._digits = [
            (sign << digit, mask)
            for sign in (1, -1)
            for digit in range(max(abs(weight) for weight in weights).bit_length())
            if (mask := _mask(weights, sign, digit))
        ]
        self._last = (0, 0)

    def __call__(self, mask: int) -> int:
        """Return the sum; the same mask again, as in a chain, costs nothing."""
        if mask != self._last[0]:
            total = sum(value * (mask & digits).bit_count() for value, digits in self._digits)
            self._last = (mask, total)
        return self._last[1]


def _mask(weights: list[int], sign: int, digit: int) -> int:
    text = "".join(
        "1" if weight * sign > 0 and abs(weight) >> digit & 1 else "0" for weight in reversed(weights)
    )
    return int(text, 2)
