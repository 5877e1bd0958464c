"""TaskFlow: `@task` makes a function whose calls are tasks and whose result can be handed to other tasks."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, overload

from orch.authoring.arguments import LATER_TASK_ARGUMENTS, refuse_unknown
from orch.authoring.callables import Callee
from orch.authoring.current import current_dag
from orch.authoring.edges import TaskLike
from orch.authoring.operator import BaseOperator
from orch.authoring.python import PythonOperator
from orch.authoring.xcomarg import XComArg
from orch.errors import DagDefinitionError, NotBuiltYet, nearest

if TYPE_CHECKING:  # only for the annotation of a parameter
    from orch.authoring.dag import DAG

_OPTION_NAMES = BaseOperator.argument_names - {"python_callable", "op_args", "op_kwargs"}


class TaskFlowOperator(PythonOperator):
    """The task that a call of a `@task` function makes."""

    operator_name: ClassVar[str | None] = "@task"


class TaskFunction(TaskLike):
    """A function decorated with `@task`. Calling it inside a DAG adds a task and returns its future result."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self.function = function
        """The plain function, for tests and for calls inside other tasks."""
        self._options = options
        functools.update_wrapper(self, function)
        Callee(str(self), function)
        refuse_unknown(
            str(self),
            {name: value for name, value in options.items() if name not in _OPTION_NAMES},
            _OPTION_NAMES,
            LATER_TASK_ARGUMENTS | PythonOperator.later_arguments,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> XComArg:
        """Add a task that will call the function with these arguments, and return its result-to-be.

        The second task of the same id in a DAG is called `<id>__1`, the third `<id>__2`.
        """
        dag = self._dag()
        options = {"doc_md": inspect.getdoc(self.function), **self._options, "dag": dag}
        options["task_id"] = dag.free_task_id(self._task_id)
        return TaskFlowOperator(
            python_callable=self.function, op_args=args, op_kwargs=kwargs, **options
        ).output

    def override(self, **options: Any) -> "TaskFunction":
        """Return the same function with other task options: `load.override(task_id="load_2", retries=3)()`."""
        return TaskFunction(self.function, {**self._options, **options})

    def partial(self, **_kwargs: Any) -> NoReturn:
        """Refused: comes with task mapping."""
        self._later("partial")

    def expand(self, **_kwargs: Any) -> NoReturn:
        """Refused: comes with task mapping."""
        self._later("expand")

    def expand_kwargs(self, _kwargs: Any) -> NoReturn:
        """Refused: comes with task mapping."""
        self._later("expand_kwargs")

    @property
    def linked_tasks(self) -> Sequence[BaseOperator]:
        """Refused: a function is no task before it is called."""
        raise DagDefinitionError(f"{self} has not been called, so it is no task yet; write {self._name}()")

    def __str__(self) -> str:
        return f"@task function {self._name!r}"

    def __repr__(self) -> str:
        return f"<{self}>"

    @property
    def _name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    @property
    def _task_id(self) -> Any:
        if "task_id" not in self._options and self._name == "<lambda>":
            raise DagDefinitionError("a lambda has no name to make a task id of; use @task(task_id=...)")
        return self._options.get("task_id", self._name)

    def _dag(self) -> "DAG":
        dag: DAG | None = self._options.get("dag") or current_dag()
        if dag is None:
            raise DagDefinitionError(
                f"{self} is called outside of a DAG; call it inside `with DAG(...)`, or call "
                f"{self._name}.function(...) to run it as a plain function"
            )
        return dag

    def _later(self, what: str) -> NoReturn:
        raise NotBuiltYet(f"{self}: .{what}() comes in a later release of orch; call it once per value")


class TaskDecorator:
    """The type of `task`: works as `@task`, `@task(...)` and `task(...)(function)`."""

    _LATER = frozenset(
        {
            "branch",
            "short_circuit",
            "virtualenv",
            "branch_virtualenv",
            "external_python",
            "branch_external_python",
            "bash",
            "sensor",
            "stub",
            "sql",
            "analytics",
            "docker",
            "kubernetes",
            "run_if",
            "skip_if",
        }
    )

    @overload
    def __call__(self, function: Callable[..., Any], /) -> TaskFunction: ...

    @overload
    def __call__(self, /, **options: Any) -> Callable[[Callable[..., Any]], TaskFunction]: ...

    def __call__(
        self, function: Callable[..., Any] | None = None, /, **options: Any
    ) -> TaskFunction | Callable[[Callable[..., Any]], TaskFunction]:
        """Return the decorated function, or with options alone the decorator."""
        if function is None:
            return lambda decorated: TaskFunction(decorated, options)
        return TaskFunction(function, options)

    def __getattr__(self, name: str) -> NoReturn:
        if name in self._LATER:
            raise NotBuiltYet(f"@task.{name} comes in a later release of orch; leave it out")
        raise AttributeError(f"there is no @task.{name}{nearest(name, self._LATER)}")

    def __repr__(self) -> str:
        return "<the @task decorator>"


task = TaskDecorator()
"""Makes tasks of functions. It has no state of its own."""
