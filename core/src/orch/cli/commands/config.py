"""`orch config`: the settings, their values, and where each value comes from."""

from pathlib import Path
from typing import Any

import click

from orch.cli.output import Output
from orch.cli.site import json_option, with_settings
from orch.errors import NotFound, nearest
from orch.settings import SETTINGS, Setting, Settings, masked


@click.group()
def config() -> None:
    """Show the settings and where each value comes from."""


@config.command("list")
@json_option
@with_settings(dags=True)
def list_settings(settings: Settings, *, as_json: bool) -> None:
    """List every setting with its value, source and meaning; secrets are masked."""
    output = Output()
    if as_json:
        output.json([_plain(setting, settings) for setting in SETTINGS])
        return
    output.table(
        ("setting", "value", "source", "meaning"),
        [
            (setting.name, _text(_shown(setting, settings)), settings.sources[setting.name], setting.sentence)
            for setting in SETTINGS
        ],
    )


@config.command()
@click.argument("name", shell_complete=lambda _ctx, _param, start: _names(start))
@json_option
@with_settings(dags=True)
def get(name: str, settings: Settings, *, as_json: bool) -> None:
    """Print the value of the setting NAME, and on stderr where it comes from; secrets are masked."""
    output = Output()
    setting = _find(name)
    if as_json:
        output.json(_plain(setting, settings))
        return
    output.line(_text(_shown(setting, settings)))
    output.note(f"{settings.sources[setting.name]}: {setting.sentence}")


def _find(name: str) -> Setting:
    known = {setting.name: setting for setting in SETTINGS}
    if name not in known:
        hint = nearest(name, known) or "; `orch config list` shows all of them"
        raise NotFound(f"unknown setting {name!r}{hint}")
    return known[name]


def _names(start: str) -> list[str]:
    return [setting.name for setting in SETTINGS if setting.name.startswith(start)]


def _shown(setting: Setting, settings: Settings) -> Any:
    return masked(setting.name, getattr(getattr(settings, setting.section), setting.key))


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _plain(setting: Setting, settings: Settings) -> dict[str, object]:
    value = _shown(setting, settings)
    return {
        "name": setting.name,
        "value": str(value) if isinstance(value, Path) else value,
        "source": settings.sources[setting.name],
        "meaning": setting.sentence,
        "environment": list(setting.variables),
    }
