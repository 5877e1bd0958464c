"""Callables: how a Python function of a task gets its arguments: those given, and the rest from the context."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from orch.errors import DagDefinitionError, NotBuiltYet, nearest

CONTEXT_KEYS = frozenset(
    {
        "dag",
        "task",
        "ti",
        "task_instance",
        "dag_run",
        "run",
        "run_id",
        "logical_date",
        "data_interval_start",
        "data_interval_end",
        "run_after",
        "ds",
        "ts",
        "conf",
        "params",
    }
)
"""What the context of a running task holds."""

_WHOLE_CONTEXT = frozenset({"context", "kwargs"})


class Callee:
    """A function that a task will call.

    A parameter that is named like a context key, gets no argument, and has no default or the default None, is
    filled from the context. A function with `**context` or `**kwargs` also gets every other context key; one
    whose double-starred parameter has another name does not.
    """

    def __init__(self, thing: str, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise DagDefinitionError(f"{thing}: {function!r} is not callable; give a function")
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise NotBuiltYet(
                f"{thing}: async functions come in a later release of orch; use a plain function"
            )
        self._thing = thing
        self.function = function
        try:
            self._signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):  # some built-in functions hide theirs
            self._signature = None

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise DagDefinitionError when a call with these arguments and a context cannot work."""
        if self._signature is None:
            return
        parameters = self._signature.parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        for name in kwargs:
            if name not in parameters and not takes_any:
                self._refuse(f"has no parameter {name!r}{nearest(name, parameters)}")
        try:
            given = self._signature.bind_partial(*args, **kwargs).arguments
        except TypeError as error:
            self._refuse(f"cannot be called like this: {error}")
        for name, parameter in parameters.items():
            variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            is_needed = parameter.default is parameter.empty and not variadic
            if is_needed and name not in given and not _may_be_filled(parameter):
                self._refuse(f"lacks the argument {name!r}")

    def call(self, args: Sequence[Any], kwargs: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
        """Call the function and return what it returns."""
        return self.function(*args, **{**self._from_context(args, kwargs, context), **kwargs})

    def _from_context(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], context: Mapping[str, Any]
    ) -> dict[str, Any]:
        if self._signature is None:
            return {}
        given = self._signature.bind_partial(*args, **kwargs).arguments
        filled: dict[str, Any] = {}
        takes_any = False
        for name, parameter in self._signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                takes_any = name in _WHOLE_CONTEXT
            elif name in given or not _may_be_filled(parameter):
                continue
            elif parameter.default is parameter.empty:
                filled[name] = context[name]
            elif parameter.default is None:
                filled[name] = context.get(name)
        if takes_any:
            others = context.keys() - self._signature.parameters.keys()
            filled.update({key: context[key] for key in others})
        return filled

    def _refuse(self, what: str) -> NoReturn:
        name = getattr(self.function, "__name__", repr(self.function))
        raise DagDefinitionError(f"{self._thing}: the function {name!r} {what}")


def _may_be_filled(parameter: inspect.Parameter) -> bool:
    return parameter.name in CONTEXT_KEYS and parameter.kind is not parameter.POSITIONAL_ONLY
