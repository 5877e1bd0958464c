"""`orch plugins`: what extends this installation, and what became of it."""

import click

from orch.cli.output import Output
from orch.cli.site import json_option, with_settings
from orch.plugins import PluginReport, Plugins
from orch.plugins.discovery import discover
from orch.plugins.load import load_candidates
from orch.settings import Settings


@click.command()
@json_option
@with_settings()
def plugins(settings: Settings, *, as_json: bool) -> None:
    """List the plugins and what they add; broken ones with the error."""
    # Not load_plugins, which logs what is broken: here the table says it.
    loaded = load_candidates(discover(settings.plugins), settings.plugins)
    if as_json:
        Output().json([_plain(plugin) for plugin in loaded.report])
    else:
        _show(Output(), loaded)


def _show(output: Output, loaded: Plugins) -> None:
    if not loaded.report:
        output.line("no plugins found; `pip install orch-local orch-standard` brings the first two")
        return
    output.table(
        ("plugin", "distribution", "version", "status", "hooks"),
        [
            (each.name, each.distribution or "drop-in", each.version, each.state, ", ".join(each.hooks))
            for each in loaded.report
        ],
    )
    for noun, names in (
        ("operators", loaded.operators),
        ("executors", loaded.executors),
        ("weight rules", loaded.weight_rules),
        ("commands", loaded.cli_commands),
    ):
        if names:
            output.line(f"{noun}: {', '.join(sorted(names))}")
    for each in loaded.report:
        if each.error:
            output.line(output.styled("failed", f"{each.name} ({each.origin}): {each.error}"))


def _plain(plugin: PluginReport) -> dict[str, object]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "state": plugin.state.value,
        "origin": plugin.origin,
        "hooks": list(plugin.hooks),
        "error": plugin.error,
        "traceback": plugin.traceback,
    }
