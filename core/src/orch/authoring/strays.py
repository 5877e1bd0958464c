"""Strays: what a file makes while it is imported that ends up in no DAG, and how to mend that."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from orch.authoring.collect import defining_file


@dataclass
class Strays:
    """What one file has made outside of every DAG."""

    file: str
    task_ids: list[str] = field(default_factory=list)
    """Of operators that no DAG has."""
    dag_functions: list[str] = field(default_factory=list)
    """Names of `@dag` functions that have not been called."""

    @property
    def sentences(self) -> list[str]:
        """One sentence for each, the remedy included."""
        functions = [f"call the function `{name}()` at the end of the file" for name in self.dag_functions]
        return functions + [
            f"operator {task_id!r} stands outside of a DAG: make it inside `with DAG(...)` or pass dag="
            for task_id in self.task_ids
        ]


_STRAYS: ContextVar[Strays | None] = ContextVar("orch_strays", default=None)


@contextmanager
def finding_strays(file: str) -> Iterator[Strays]:
    """Yield the strays that the module-level code of `file` makes inside the block; it fills meanwhile."""
    strays = Strays(file)
    token = _STRAYS.set(strays)
    try:
        yield strays
    finally:
        _STRAYS.reset(token)


def note_operator(task_id: str) -> None:
    """Remember an operator that has been made outside of a DAG."""
    if strays := _open():
        strays.task_ids.append(task_id)


def note_dag_function(name: str) -> None:
    """Remember a `@dag` function until it is called."""
    if strays := _open():
        strays.dag_functions.append(name)


def note_call(name: str) -> None:
    """Forget a `@dag` function that has been called."""
    strays = _STRAYS.get()
    if strays is not None and name in strays.dag_functions:
        strays.dag_functions.remove(name)


def _open() -> Strays | None:
    strays = _STRAYS.get()
    return strays if strays is not None and strays.file == defining_file() else None
