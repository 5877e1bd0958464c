"""Edges: `>>`, `<<`, `chain` and `cross_downstream`, which say which task waits for which."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

from orch.errors import DagDefinitionError

if TYPE_CHECKING:  # an operator is a TaskLike, so a real import would be circular
    from orch.authoring.operator import BaseOperator

Linkable: TypeAlias = "TaskLike | Iterable[Any]"
"""A task, the result of one, or a list of those, nested as you like."""

_T = TypeVar("_T")


class TaskLike(ABC):
    """What may stand on either side of `>>` and `<<`."""

    @property
    @abstractmethod
    def linked_tasks(self) -> "Sequence[BaseOperator]":
        """The tasks that an edge drawn here belongs to."""

    def set_downstream(self, other: Linkable) -> None:
        """Let everything in `other` wait for this; the same as `self >> other`."""
        _link(self, other)

    def set_upstream(self, other: Linkable) -> None:
        """Let this wait for everything in `other`; the same as `self << other`."""
        _link(other, self)

    def __rshift__(self, other: _T) -> _T:
        _link(self, other)
        return other

    def __lshift__(self, other: _T) -> _T:
        _link(other, self)
        return other

    def __rrshift__(self, other: Iterable[Any]) -> Self:
        _link(other, self)
        return self

    def __rlshift__(self, other: Iterable[Any]) -> Self:
        _link(self, other)
        return self


def chain(*items: Linkable) -> None:
    """Link each item to the next: `chain(a, [b, c], d)` is `a >> [b, c] >> d`.

    Between two neighbouring lists the edges go pairwise, so they must have the same length:
    `chain([a, b], [c, d])` is `a >> c` and `b >> d`. Every pair is `cross_downstream`.
    """
    for before, after in pairwise(items):
        if isinstance(before, TaskLike) or isinstance(after, TaskLike):
            _link(before, after)
            continue
        heads, tails = list(_listed(before)), list(_listed(after))
        if len(heads) != len(tails):
            raise DagDefinitionError(
                f"chain: a list of {len(heads)} is followed by a list of {len(tails)}; give both the same "
                "length, or use cross_downstream to link each to each"
            )
        for head, tail in zip(heads, tails, strict=True):
            _link(head, tail)


def cross_downstream(from_tasks: Linkable, to_tasks: Linkable) -> None:
    """Let each of `to_tasks` wait for each of `from_tasks`."""
    _link(from_tasks, to_tasks)


def _link(before: object, after: object) -> None:
    downstream = list(_tasks(after))
    for upstream in _tasks(before):
        for task in downstream:
            upstream.connect(task)


def _tasks(item: object) -> "Iterator[BaseOperator]":
    if isinstance(item, TaskLike):
        yield from item.linked_tasks
    else:
        for member in _listed(item):
            yield from _tasks(member)


def _listed(item: object) -> Iterable[object]:
    if isinstance(item, Iterable) and not isinstance(item, str | bytes | dict):
        return item
    raise DagDefinitionError(
        f"an edge cannot lead to or from {item!r}; link tasks, results of tasks, or lists of those"
    )
