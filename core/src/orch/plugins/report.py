"""What became of one plugin, for `orch plugins` and for error messages."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class PluginState(StrEnum):
    """What became of a plugin at boot."""

    OK = "ok"
    BROKEN = "broken"
    BLOCKED = "blocked"


class Package(Protocol):
    """The installed distribution of a plugin. Both facts are read from disk when somebody asks."""

    @property
    def name(self) -> str:
        """Its name, as pip knows it."""

    @property
    def version(self) -> str:
        """Its version."""


@dataclass(frozen=True, slots=True)
class PluginReport:
    """One plugin that was found, whether it works or not."""

    name: str
    origin: str
    """The module of an entry point, or the file of a drop-in."""
    state: PluginState
    package: Package | None = None
    """None for a drop-in module."""
    error: str | None = None
    """One line on why it is broken."""
    traceback: str | None = None
    hooks: tuple[str, ...] = ()
    """The hooks it implements, sorted."""

    @property
    def distribution(self) -> str | None:
        """The name of its distribution; None for a drop-in module."""
        return self.package.name if self.package else None

    @property
    def version(self) -> str | None:
        """The version of its distribution; None for a drop-in module."""
        return self.package.version if self.package else None
