"""The current DAG: the one whose `with` block is being executed."""

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a DAG makes itself current, so a real import would be circular
    from orch.authoring.dag import DAG

_OPEN: "ContextVar[tuple[DAG, ...]]" = ContextVar("orch_open_dags", default=())


def current_dag() -> "DAG | None":
    """Return the DAG of the innermost open `with` block, or None outside of all."""
    open_dags = _OPEN.get()
    return open_dags[-1] if open_dags else None


def enter(dag: "DAG") -> None:
    """Make `dag` the current one until `leave`."""
    _OPEN.set((*_OPEN.get(), dag))


def leave() -> None:
    """Make the DAG around the current one current again."""
    _OPEN.set(_OPEN.get()[:-1])
