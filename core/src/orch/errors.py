"""Every error that orch raises on purpose; the message names the thing and the remedy."""

import difflib
from collections.abc import Iterable


class OrchError(Exception):
    """Something orch refuses or cannot do; the class docstring is the default message."""

    exit_code = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or type(self).__name__).strip())


class BadInput(OrchError):
    """What was asked for cannot be understood; the command line ends with exit code 2."""

    exit_code = 2


class NotFound(BadInput):
    """The named thing does not exist."""


class Conflict(OrchError):
    """The thing exists already, or its state forbids the action."""

    exit_code = 2


class GraphError(BadInput):
    """The graph is not a directed acyclic graph of known tasks."""


class CycleError(GraphError):
    """The graph has a cycle; `path` lists its tasks, first one repeated at the end."""

    def __init__(self, path: list[str]) -> None:
        self.path = path
        super().__init__(f"cycle: {' -> '.join(path)}; remove one of these edges")


class DagDefinitionError(BadInput):
    """A DAG or a task is declared wrongly."""


class NotBuiltYet(BadInput):
    """The feature exists in the plan but not in this release."""


class ConfigurationError(BadInput):
    """A setting is unknown or has an impossible value."""


class PluginError(OrchError):
    """A plugin cannot be loaded or breaks its contract."""

    exit_code = 2


class StoreError(OrchError):
    """The database cannot be used as asked."""


class SchemaMismatch(StoreError):
    """The database was made by another version of orch."""

    exit_code = 2


class XComError(OrchError):
    """A value cannot be handed from one task to another."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the known name closest to `name`, or an empty string."""
    names = sorted(known)
    match = [other for other in names if other.lower() == name.lower() != other] or difflib.get_close_matches(
        name, names, n=1, cutoff=0.6
    )
    return f"; did you mean {match[0]!r}?" if match else ""
