"""Validation: does a plugin implement hooks that exist, with arguments that they have?"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple

from orch.errors import nearest
from orch.hookspecs import commands, dag_runs, executors, operators, task_instances, timetables, weight_rules
from orch.hookspecs.markers import PROJECT

SPEC_MODULES: tuple[ModuleType, ...] = (
    operators,
    executors,
    timetables,
    weight_rules,
    commands,
    task_instances,
    dag_runs,
)
"""Every module of hook specs; a new one is entered here."""


class Implementation(NamedTuple):
    """One function of a plugin that is marked with `@hookimpl`."""

    hook: str
    function: Callable[..., Any]
    optional: bool
    """True when the hook need not exist in this release."""


def hook_specs() -> Mapping[str, Callable[..., Any]]:
    """Return every hook spec by name, in the order of the spec modules."""
    return {
        name: function
        for module in SPEC_MODULES
        for name, function in vars(module).items()
        if hasattr(function, f"{PROJECT}_spec")
    }


def implementations(plugin: object) -> Iterator[Implementation]:
    """Yield the marked functions of a plugin, whether their hooks exist or not."""
    for name in dir(plugin):
        function = inspect.getattr_static(plugin, name)
        options = getattr(function, f"{PROJECT}_impl", None)
        if isinstance(options, dict):
            hook = options.get("specname") or name
            yield Implementation(hook, getattr(plugin, name), bool(options.get("optionalhook")))


def problems(plugin: object) -> list[str]:
    """Return a sentence for each hook that does not exist, argument that it lacks, and forgotten mark."""
    specs = hook_specs()
    found = [problem for one in implementations(plugin) for problem in _problems_of(one, specs)]
    return found + [
        f"{name} has the name of a hook but no @hookimpl; mark it or rename it"
        for name in specs
        if _is_unmarked(plugin, name)
    ]


def _problems_of(one: Implementation, specs: Mapping[str, Callable[..., Any]]) -> Iterator[str]:
    spec = specs.get(one.hook)
    if spec is None:
        if not one.optional:
            yield f"unknown hook {one.hook!r}{nearest(one.hook, specs)}"
        return
    known = inspect.signature(spec).parameters
    for argument in inspect.signature(one.function).parameters:
        if argument not in known:
            remedy = nearest(argument, known) or f"; it has {', '.join(known) or 'no arguments'}"
            yield f"hook {one.hook!r} has no argument {argument!r}{remedy}"


def _is_unmarked(plugin: object, name: str) -> bool:
    function = getattr(plugin, name, None)
    own = getattr(function, "__module__", None) == getattr(plugin, "__name__", None)
    return inspect.isfunction(function) and own and not hasattr(function, f"{PROJECT}_impl")
