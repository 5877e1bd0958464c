"""Construction: what happens around `__init__` of an operator class."""

import inspect
from abc import ABCMeta
from collections.abc import Mapping, Sequence
from typing import Any

from orch.authoring.arguments import LATER_TASK_ARGUMENTS
from orch.authoring.current import current_dag
from orch.authoring.strays import note_operator
from orch.errors import DagDefinitionError, nearest


class OperatorMeta(ABCMeta):
    """Construction of a task: defaults of the DAG before `__init__`, edges and membership after it."""

    argument_names: frozenset[str]
    """The arguments that the class takes by name, its own and its bases'."""

    def __init__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(name, bases, body, **kwargs)
        cls.argument_names = _argument_names(cls)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Return the task, linked to the tasks whose results it uses and known to its DAG."""
        dag = kwargs.get("dag") or current_dag()
        if dag is not None:
            kwargs = {**dag.defaults_for(cls.argument_names - _positional(cls, len(args))), **kwargs}
        try:
            task = super().__call__(*args, **kwargs)
        except TypeError:
            _explain(cls, args, kwargs)
            raise
        if not hasattr(task, "task_id"):
            raise DagDefinitionError(f"{cls.__name__}.__init__ must call super().__init__(**kwargs)")
        task.link_inputs()
        if task.dag is None:
            note_operator(task.task_id)
        else:
            task.dag.add_task(task)
        return task


def _argument_names(cls: type) -> frozenset[str]:
    """Collect the parameters of each `__init__` up the bases, as long as one hands on `**kwargs`."""
    names: set[str] = set()
    for base in cls.__mro__:
        if "__init__" in vars(base) and base is not object:
            parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
            names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return frozenset(names)


def _positional(cls: type, count: int) -> set[str]:
    """Return the names of the first `count` parameters, which are given without name."""
    return set(list(_signature(cls).parameters)[1 : count + 1]) if count else set()


def _signature(cls: type) -> inspect.Signature:
    return inspect.signature(cls.__init__)  # type: ignore[misc]  # it is only read, never called


def _explain(cls: OperatorMeta, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise a better error when the arguments do not fit `__init__`; return when they do."""
    task_id = kwargs.get("task_id")
    thing = f"{cls.__name__} {task_id!r}" if task_id else cls.__name__
    try:
        _signature(cls).bind(None, *args, **kwargs)
    except TypeError as error:
        for name in sorted(set(kwargs) - cls.argument_names - LATER_TASK_ARGUMENTS):
            hint = nearest(name, cls.argument_names)
            raise DagDefinitionError(f"{thing}: unknown argument {name!r}{hint}") from None
        remedy = "; give the arguments by name" if args else ""
        raise DagDefinitionError(f"{thing}: {error}{remedy}") from None
