"""`@dag`: a function whose call makes a DAG of the tasks that its body makes."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, overload

from orch.authoring.dag import DAG
from orch.authoring.strays import note_call, note_dag_function
from orch.errors import DagDefinitionError, NotBuiltYet


class DagFunction:
    """A function decorated with `@dag`. Calling it at the end of the file makes the DAG and returns it."""

    def __init__(self, function: Callable[[], Any], options: dict[str, Any]) -> None:
        if not callable(function):
            raise DagDefinitionError(
                f"@dag decorates a function, not {function!r}; name the DAG with dag_id="
            )
        functools.update_wrapper(self, function)
        self.function = function
        """The plain function."""
        self._options = {"dag_id": self._name, "doc_md": inspect.getdoc(function), **options}
        if inspect.signature(function).parameters:
            raise NotBuiltYet(
                f"@dag function {self._name!r}: parameters come in a later release of orch; leave them out"
            )
        note_dag_function(self._name)

    def __call__(self) -> DAG:
        """Make the DAG."""
        note_call(self._name)
        with DAG(**self._options) as made:
            self.function()
        return made

    def __repr__(self) -> str:
        return f"<@dag function {self._name!r}>"

    @property
    def _name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


@overload
def dag(function: Callable[[], Any], /) -> DagFunction: ...


@overload
def dag(**options: Any) -> Callable[[Callable[[], Any]], DagFunction]: ...


def dag(
    function: Callable[[], Any] | None = None, /, **options: Any
) -> DagFunction | Callable[[Callable[[], Any]], DagFunction]:
    """Decorate a function as `@dag` or `@dag(schedule=..., ...)`, with the arguments of `DAG`.

    The function's name is the dag_id and its docstring the doc_md, unless they are given.
    """
    if function is None:
        return lambda decorated: DagFunction(decorated, options)
    return DagFunction(function, options)
