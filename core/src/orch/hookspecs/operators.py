"""Operators: the classes that give tasks their behaviour, announced by name without importing them."""

from collections.abc import Sequence
from dataclasses import dataclass

from orch.hookspecs.markers import hookspec


@dataclass(frozen=True, slots=True)
class OperatorSpec:
    """One operator class of a plugin."""

    name: str
    """Name of the class, as `orch plugins` and error messages show it."""
    import_path: str
    """`module:Class`; imported only when somebody uses it."""
    decorator: str | None = None
    """NAME of a `@task.NAME` decorator that makes tasks of this operator, if there is one."""


@hookspec
def register_operators() -> Sequence[OperatorSpec]:
    """Name the operators that this plugin brings.

    A name that two plugins bring is an error that names both.

    Kind: collecting
    Caller: every process that loads plugins
    Moment: once, at boot
    Transaction: none
    Thread: the main thread
    Since: 0.1
    """
    return ()
