"""A click group that knows its commands by name and imports one only when it is used."""

from collections.abc import Mapping
from importlib import import_module

import click

from orch.cli.catalogue import COMMANDS, CommandEntry
from orch.cli.site import Site
from orch.errors import OrchError, nearest

PLUGIN_SECTION = "From plugins"


class LazyGroup(click.Group):
    """The commands of `orch.cli.catalogue` and those of plugins, without importing any of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, orch's own first."""
        return [*COMMANDS, *_plugin_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command; None when no command has this name."""
        entry = COMMANDS.get(cmd_name) or _plugin_commands(ctx).get(cmd_name)
        return None if entry is None else _load(entry.import_path)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name; an unknown name is answered with the nearest one."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is not None:
            return name, command, args[1:]
        if name.startswith("-"):
            return super().resolve_command(ctx, args)
        hint = nearest(name, self.list_commands(ctx)) or "; `orch --help` lists the commands"
        raise click.UsageError(f"unknown command {name!r}{hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section of the help per group of commands."""
        entries = {**COMMANDS, **_plugin_commands(ctx)}
        for section in dict.fromkeys(entry.section for entry in entries.values()):
            with formatter.section(section):
                formatter.write_dl(
                    [(name, entry.help) for name, entry in entries.items() if entry.section == section],
                    col_max=20,
                )


def _load(import_path: str) -> click.Command:
    module, _, attribute = import_path.partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    return command


def _plugin_commands(ctx: click.Context) -> Mapping[str, CommandEntry]:
    """What plugins add. Help and unknown names must work with broken settings too, so those add nothing."""
    # Imported late: finding entry points is slow, and a known command never asks for it.
    from orch.plugins import load_plugins

    root = ctx.find_root()
    if "plugin_commands" not in root.meta:
        try:
            specs = list(load_plugins(Site.of(root).settings()).cli_commands.values())
        except OrchError as error:
            click.echo(f"warning: commands of plugins are left out: {error}", err=True)
            specs = []
        root.meta["plugin_commands"] = {
            spec.name: CommandEntry(PLUGIN_SECTION, spec.import_path, spec.help)
            for spec in specs
            if spec.name not in COMMANDS
        }
    commands: Mapping[str, CommandEntry] = root.meta["plugin_commands"]
    return commands
