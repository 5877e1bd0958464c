"""PythonOperator: a task that calls a Python function."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from orch.authoring.callables import Callee
from orch.authoring.operator import BaseOperator
from orch.authoring.xcomarg import XComArg
from orch.errors import DagDefinitionError


class PythonOperator(BaseOperator):
    """Calls `python_callable(*op_args, **op_kwargs)`; what it returns is the task's result.

    Parameters of the function that are named like context keys (`ti`, `logical_date`, `conf` ...) and get no
    argument are filled from the context; `**context` or `**kwargs` takes all of it.
    """

    template_fields: ClassVar[Sequence[str]] = ("op_args", "op_kwargs")
    literal_fields: ClassVar[frozenset[str]] = frozenset({"op_args", "op_kwargs"})
    later_arguments: ClassVar[frozenset[str]] = frozenset(
        {"templates_dict", "templates_exts", "show_return_value_in_logs"}
    )

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Sequence[Any] | XComArg = (),
        op_kwargs: Mapping[str, Any] | XComArg | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.python_callable = python_callable
        self.op_args = op_args
        self.op_kwargs = {} if op_kwargs is None else op_kwargs
        self._callee = Callee(str(self), python_callable)
        if not isinstance(self.op_args, XComArg) and not isinstance(self.op_kwargs, XComArg):
            self._callee.check(*self._arguments())

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Call the function and return what it returns."""
        args, kwargs = self._arguments()
        if self._callee.function is not self.python_callable:
            self._callee = Callee(str(self), self.python_callable)
        return self._callee.call(args, kwargs, context)

    def _arguments(self) -> tuple[Sequence[Any], Mapping[str, Any]]:
        args, kwargs = self.op_args, self.op_kwargs
        if isinstance(args, str | bytes) or not isinstance(args, Sequence):
            raise DagDefinitionError(f"{self}: op_args must be a list, not {args!r}")
        if not isinstance(kwargs, Mapping):
            raise DagDefinitionError(f"{self}: op_kwargs must be a dict, not {kwargs!r}")
        return args, kwargs
