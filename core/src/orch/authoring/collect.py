"""Collecting: how the DAGs that a file defines are found while the file is imported."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING

from orch.errors import DagDefinitionError

if TYPE_CHECKING:  # a DAG registers itself here, so a real import would be circular
    from orch.authoring.dag import DAG


class _Collection:
    def __init__(self, file: str | None) -> None:
        self.file = file
        self.dags: list[DAG] = []


_COLLECTION: ContextVar[_Collection | None] = ContextVar("orch_collection", default=None)


@contextmanager
def collecting(file: str | None = None) -> "Iterator[list[DAG]]":
    """Yield a list that each DAG joins when it is made inside the block.

    With `file`, only the DAGs join that this file makes itself: its module-level code was running, directly or
    through functions that it called. What other files make while they are imported is theirs.
    """
    collection = _Collection(file)
    token = _COLLECTION.set(collection)
    try:
        yield collection.dags
    finally:
        _COLLECTION.reset(token)


def register(dag: "DAG") -> None:
    """Add a new DAG to the open collection, if there is one; a second DAG of the same id is an error."""
    collection = _COLLECTION.get()
    if collection is None or collection.file not in (None, dag.file):
        return
    if any(other.dag_id == dag.dag_id for other in collection.dags):
        raise DagDefinitionError(
            f"DAG {dag.dag_id!r} is defined twice in {dag.file}; give one of the two another id"
        )
    collection.dags.append(dag)


def is_collecting() -> bool:
    """Return whether a DAG file is being imported for its DAGs."""
    return _COLLECTION.get() is not None


def defining_file() -> str | None:
    """Return the `__file__` of the module whose top level is being executed, the innermost one."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        file = frame.f_globals.get("__file__")
        if frame.f_code.co_name == "<module>" and isinstance(file, str):
            return file
        frame = frame.f_back
    return None
