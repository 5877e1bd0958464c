"""Commands: what a plugin adds to the command line, announced without importing it."""

from collections.abc import Sequence
from dataclasses import dataclass

from orch.hookspecs.markers import hookspec


@dataclass(frozen=True, slots=True)
class CliCommandSpec:
    """One sub-command `orch NAME`."""

    name: str
    import_path: str
    """`module:attribute` of a click command or group; imported only when it is called."""
    help: str
    """One line for `orch --help`."""


@hookspec
def register_cli_commands() -> Sequence[CliCommandSpec]:
    """Name the sub-commands that this plugin adds to `orch`.

    A name that two plugins bring is an error that names both; core's own commands win over a plugin's.

    Kind: collecting
    Caller: every process that loads plugins
    Moment: once, at boot
    Transaction: none
    Thread: the main thread
    Since: 0.1
    """
    return ()
