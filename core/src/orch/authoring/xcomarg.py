"""XComArg: the result that a task will have, used as an argument of another task."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from orch.authoring.edges import TaskLike
from orch.errors import DagDefinitionError, NotBuiltYet

if TYPE_CHECKING:  # an operator has results, so a real import would be circular
    from orch.authoring.operator import BaseOperator

RETURN_KEY = "return_value"
"""Key of the XCom that holds what `execute` returned."""


class XComArg(TaskLike):
    """Stands for a value until the task that makes it has run.

    Handed to another task as an argument, directly or inside lists, tuples, sets and dict values, it makes
    that task wait for this one and is replaced by the value right before the other task starts.
    """

    def __init__(self, operator: "BaseOperator", key: str = RETURN_KEY) -> None:
        self.operator = operator
        self.key = key

    @property
    def linked_tasks(self) -> "Sequence[BaseOperator]":
        """The task whose result this is."""
        return (self.operator,)

    def map(self, _function: Callable[[Any], Any]) -> NoReturn:
        """Refused: comes with task mapping."""
        self._later(".map()")

    def zip(self, *_others: "XComArg") -> NoReturn:
        """Refused: comes with task mapping."""
        self._later(".zip()")

    def concat(self, *_others: "XComArg") -> NoReturn:
        """Refused: comes with task mapping."""
        self._later(".concat()")

    def __getitem__(self, key: object) -> NoReturn:
        raise NotBuiltYet(
            f"{self._name} cannot be indexed in this release of orch; pass it whole and take [{key!r}] "
            "inside the task that gets it"
        )

    def __iter__(self) -> Iterator[Any]:
        self._unknown("looped over")

    def __bool__(self) -> bool:
        self._unknown("tested for truth")

    def __len__(self) -> int:
        self._unknown("measured")

    def __format__(self, format_spec: str) -> str:
        self._unknown("put into a text")

    def __repr__(self) -> str:
        return f"<{self._name}>"

    @property
    def _name(self) -> str:
        what = "result" if self.key == RETURN_KEY else f"XCom {self.key!r}"
        return f"{what} of task {self.operator.task_id!r}"

    def _unknown(self, action: str) -> NoReturn:
        raise DagDefinitionError(
            f"the {self._name} cannot be {action} while the DAG is being defined, because it is not known "
            "before the task has run; pass it to another task as an argument and do it there"
        )

    def _later(self, what: str) -> NoReturn:
        raise NotBuiltYet(f"{what} on the {self._name} comes in a later release of orch; leave it out")


Lookup = Callable[[XComArg], Any]
"""Gives the value that an XComArg stands for."""


def find_xcom_args(value: object) -> Iterator[XComArg]:
    """Yield each XComArg in `value` and in its nested lists, tuples, sets and dict values."""
    stack = [value]
    seen: set[int] = set()
    while stack:
        item = stack.pop()
        if isinstance(item, XComArg):
            yield item
        elif isinstance(item, list | tuple | set | frozenset | dict) and id(item) not in seen:
            seen.add(id(item))
            stack.extend(reversed(list(item.values() if isinstance(item, dict) else item)))


def replace_xcom_args(value: Any, lookup: Lookup) -> Any:
    """Return `value` with each XComArg replaced by what `lookup` gives; the same object when there is none."""
    if isinstance(value, XComArg):
        return lookup(value)
    if next(find_xcom_args(value), None) is None:
        return value
    if isinstance(value, dict):
        return {key: replace_xcom_args(item, lookup) for key, item in value.items()}
    return _like(value, [replace_xcom_args(item, lookup) for item in value])


def _like(original: Any, items: Iterable[Any]) -> Any:
    if isinstance(original, tuple) and hasattr(original, "_make"):
        return original._make(items)  # a named tuple; `_make` is part of its documented face
    for kind in (list, tuple, frozenset):
        if isinstance(original, kind):
            return kind(items)
    return set(items)
