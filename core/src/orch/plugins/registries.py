"""Registries: what all plugins bring, by name; frozen once they are built."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from orch.errors import PluginError
from orch.hookspecs import CliCommandSpec, ExecutorSpec, OperatorSpec, TimetableKind, WeightRuleSpec
from orch.plugins.answers import Answers

_Spec = TypeVar("_Spec", OperatorSpec, ExecutorSpec, TimetableKind, WeightRuleSpec, CliCommandSpec)


@dataclass(frozen=True, slots=True)
class Registries:
    """The operators, executors, timetables, weight rules and commands of all plugins that work."""

    operators: Mapping[str, OperatorSpec] = field(default_factory=dict)
    executors: Mapping[str, ExecutorSpec] = field(default_factory=dict)
    timetables: Mapping[str, TimetableKind] = field(default_factory=dict)
    weight_rules: Mapping[str, WeightRuleSpec] = field(default_factory=dict)
    cli_commands: Mapping[str, CliCommandSpec] = field(default_factory=dict)


def build_registries(answers: Mapping[str, Answers]) -> Registries:
    """Return the registries of these answers by plugin name; PluginError when two plugins bring one name."""
    return Registries(
        operators=_registry("operator", ((name, each.operators) for name, each in answers.items())),
        executors=_registry("executor", ((name, each.executors) for name, each in answers.items())),
        timetables=_registry("timetable", ((name, each.timetables) for name, each in answers.items())),
        weight_rules=_registry("weight rule", ((name, each.weight_rules) for name, each in answers.items())),
        cli_commands=_registry("command", ((name, each.cli_commands) for name, each in answers.items())),
    )


def _registry(noun: str, specs: Iterable[tuple[str, tuple[_Spec, ...]]]) -> Mapping[str, _Spec]:
    registry: dict[str, _Spec] = {}
    bringer: dict[str, str] = {}
    for plugin, group in specs:
        for spec in group:
            if (first := bringer.setdefault(spec.name, plugin)) != plugin:
                raise PluginError(
                    f"plugins {first!r} and {plugin!r} both bring the {noun} {spec.name!r}; "
                    "block one of them with plugins.blocked"
                )
            registry[spec.name] = spec
    return MappingProxyType(registry)
