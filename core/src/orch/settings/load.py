"""Loading: the command line wins over the environment, that over orch.toml, and that over the defaults."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from orch.errors import ConfigurationError, nearest
from orch.settings.convert import absolute, encodable, from_text, from_toml
from orch.settings.declare import Setting
from orch.settings.sections import SECTIONS, SETTINGS, Settings

FILE_NAME = "orch.toml"
DEFAULT_HOME = ".orch"


class _Found(NamedTuple):
    value: Any
    source: str


def find_home(environ: Mapping[str, str]) -> Path:
    """Return the absolute home folder: `ORCH_HOME`, or `.orch` in the working folder. It need not exist."""
    return absolute(environ.get("ORCH_HOME") or DEFAULT_HOME, Path.cwd())


def load_settings(
    home: Path, environ: Mapping[str, str], overrides: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings of this home folder; every path in them is absolute.

    `overrides` maps setting names to texts from the command line. An empty variable counts as unset.
    Relative paths count from the working folder, those in orch.toml from the folder of that file.
    """
    home = _checked_home(absolute(home, Path.cwd()))
    found = {setting.name: _Found(setting.default(home), "default") for setting in SETTINGS}
    found |= dict(_from_file(home / FILE_NAME))
    found |= dict(_from_environment(environ))
    found |= dict(_from_overrides(overrides or {}))
    found["core.home"] = _Found(home, _source_of_home(home, environ))
    _check(found)
    return _built(found)


def _checked_home(home: Path) -> Path:
    """The paths of all that lies in the home go into the database and to other processes as text."""
    try:
        encodable(str(home))
    except ValueError as error:
        raise ConfigurationError(f"home folder {str(home)!r}: {error} with --home DIR or ORCH_HOME") from None
    return home


def _source_of_home(home: Path, environ: Mapping[str, str]) -> str:
    if home != find_home(environ):
        return "command line"
    return "environment ORCH_HOME" if environ.get("ORCH_HOME") else "default"


def _from_file(path: Path) -> Iterator[tuple[str, _Found]]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"settings file {path} cannot be read: {error}") from error
    known = {setting.name: setting for setting in SETTINGS if setting.in_file}
    for section, table in tables.items():
        if section not in SECTIONS or not isinstance(table, dict):
            raise ConfigurationError(f"{path}: unknown section [{section}]{nearest(section, SECTIONS)}")
        for key, raw in table.items():
            name, source = f"{section}.{key}", f"file {path}"
            if name == "core.home":
                raise ConfigurationError(
                    f"{path}: core.home cannot stand in the file that lies in it; set ORCH_HOME"
                )
            if name not in known:
                raise ConfigurationError(f"{path}: unknown setting {name}{nearest(name, known)}")
            yield name, _Found(from_toml(known[name], raw, source, path.parent), source)


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, _Found]]:
    known = {variable: setting for setting in SETTINGS for variable in setting.variables}
    prefixes = tuple(f"ORCH_{section.upper()}_" for section in SECTIONS)
    for variable in environ:
        if variable.startswith(prefixes) and variable not in known:
            raise ConfigurationError(f"unknown environment variable {variable}{nearest(variable, known)}")
    for setting in SETTINGS:
        if (chosen := _the_one_set(setting, environ)) is not None:
            source = f"environment {chosen}"
            yield setting.name, _Found(from_text(setting, environ[chosen], source, Path.cwd()), source)


def _the_one_set(setting: Setting, environ: Mapping[str, str]) -> str | None:
    names = [name for name in setting.variables if environ.get(name)]
    if len({environ[name] for name in names}) > 1:
        raise ConfigurationError(f"{' and '.join(names)} set {setting.name} differently; unset one of them")
    return names[0] if names else None


def _from_overrides(overrides: Mapping[str, str]) -> Iterator[tuple[str, _Found]]:
    known = {setting.name: setting for setting in SETTINGS if setting.in_file}
    for name, text in overrides.items():
        if name not in known:
            raise ConfigurationError(f"unknown setting {name}{nearest(name, known)}")
        yield name, _Found(from_text(known[name], text, "command line", Path.cwd()), "command line")


def _check(found: Mapping[str, _Found]) -> None:
    for role in ("scheduler", "worker"):
        heartbeat, lease = found[f"{role}.heartbeat_seconds"], found[f"{role}.lease_seconds"]
        if heartbeat.value * 3 > lease.value:
            raise ConfigurationError(
                f"{role}.heartbeat_seconds = {heartbeat.value:g} ({heartbeat.source}) must be at most a "
                f"third of {role}.lease_seconds = {lease.value:g} ({lease.source}), or two late heartbeats "
                "count as death"
            )


def _built(found: Mapping[str, _Found]) -> Settings:
    sections: dict[str, Any] = {
        section: cls(**{s.key: found[s.name].value for s in SETTINGS if s.section == section})
        for section, cls in SECTIONS.items()
    }
    return Settings(**sections, sources={name: item.source for name, item in found.items()})
