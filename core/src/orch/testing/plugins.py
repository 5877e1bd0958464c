"""Checks of plugins: names, arguments and annotations of their hook implementations, and what they point to."""

import inspect
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from operator import attrgetter
from typing import Any

from orch.plugins import Plugins
from orch.plugins.discovery import Candidate
from orch.plugins.load import load_candidates
from orch.plugins.validate import Implementation, hook_specs, implementations, problems
from orch.settings import PluginsSettings


def check_plugin(plugin: object) -> None:
    """Raise AssertionError with every difference between the plugin's hook implementations and the specs.

    Checked are the names of hooks and arguments, and that each argument and the return value is annotated with
    the type of the spec. A return type may be narrower: `list[X]` or `tuple[X, ...]` for `Sequence[X]`.
    """
    found = problems(plugin)
    if not found:
        specs = hook_specs()
        pairs = ((one, specs[one.hook]) for one in implementations(plugin) if one.hook in specs)
        found = [difference for one, spec in pairs for difference in _differences(one, spec)]
    if found:
        name = getattr(plugin, "__name__", plugin)
        raise AssertionError(f"{name}: " + "; ".join(found))


def check_import_paths(plugin: object) -> None:
    """Raise AssertionError unless every import path of the plugin's operators and commands leads somewhere."""
    plugins = plugins_from(plugin)
    paths = {spec.name: spec.import_path for spec in plugins.operators.values()}
    paths |= {f"orch {spec.name}": spec.import_path for spec in plugins.cli_commands.values()}
    for name, path in paths.items():
        module, _, attribute = path.partition(":")
        try:
            attrgetter(attribute)(import_module(module))
        except (ImportError, AttributeError) as error:
            raise AssertionError(f"{name}: {path} leads nowhere: {error}") from error


def plugins_from(*plugins: object, **named: object) -> Plugins:
    """Return these plugins as core would load them, and no others; one that is broken raises PluginError.

    A plugin is a module or any other object with hook implementations. Plugins without a name are called by
    the last part of their module's name before `.plugin`: `local` for `orch_local.plugin`.
    """
    chosen = {_name_of(plugin): plugin for plugin in plugins} | named
    candidates = [
        Candidate(name, getattr(plugin, "__name__", name), _returning(plugin))
        for name, plugin in chosen.items()
    ]
    return load_candidates(candidates, PluginsSettings(required=tuple(chosen)))


def _name_of(plugin: object) -> str:
    name = str(getattr(plugin, "__name__", type(plugin).__name__))
    return name.removesuffix(".plugin").rpartition(".")[2].removeprefix("orch_")


def _returning(plugin: object) -> Callable[[], object]:
    return lambda: plugin


def _differences(one: Implementation, spec: Callable[..., Any]) -> Iterator[str]:
    promised, given = typing.get_type_hints(spec), typing.get_type_hints(one.function)
    for argument in inspect.signature(one.function).parameters:
        if argument not in given:
            yield f"{one.hook}: argument {argument!r} has no annotation; it is {_text(promised[argument])}"
        elif given[argument] != promised[argument]:
            wrong, right = _text(given[argument]), _text(promised[argument])
            yield f"{one.hook}: argument {argument!r} is annotated {wrong}; it is {right}"
    if "return" not in given:
        yield f"{one.hook}: the return value has no annotation; it is {_text(promised['return'])}"
    elif not _fits(given["return"], promised["return"]):
        wrong, right = _text(given["return"]), _text(promised["return"])
        yield f"{one.hook}: the return value is annotated {wrong}; it is {right}"


def _fits(given: Any, promised: Any) -> bool:
    """True when a value of type `given` is always one of type `promised`, as far as hooks need it."""
    if given == promised:
        return True
    outer, wanted = typing.get_origin(given), typing.get_origin(promised)
    if outer is None or wanted is None or not issubclass(outer, wanted):
        return False
    items = tuple(item for item in typing.get_args(given) if item is not Ellipsis)
    return set(items) == set(typing.get_args(promised))


def _text(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
