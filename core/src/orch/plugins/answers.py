"""Answers: what one plugin gave to the `register_*` hooks, checked."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from orch.domain.priorities import BUILT_IN as BUILT_IN_RULES
from orch.domain.timetables import KINDS_OF_CORE
from orch.errors import PluginError
from orch.hookspecs import CliCommandSpec, ExecutorSpec, OperatorSpec, TimetableKind, WeightRuleSpec

Ask = Callable[[str], list[Any]]
"""Calls a collecting hook of one plugin; returns a list of its answers, which has one item or none."""

_IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_COMMAND_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_KIND_NAME = re.compile(r"[a-z][a-z0-9]*([_.-][a-z0-9]+)*")
_Spec = TypeVar("_Spec", OperatorSpec, ExecutorSpec, TimetableKind, WeightRuleSpec, CliCommandSpec)


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that one plugin brings."""

    operators: tuple[OperatorSpec, ...]
    executors: tuple[ExecutorSpec, ...]
    timetables: tuple[TimetableKind, ...]
    weight_rules: tuple[WeightRuleSpec, ...]
    cli_commands: tuple[CliCommandSpec, ...]


def ask_plugin(ask: Ask) -> Answers:
    """Return what the plugin brings; PluginError when an answer is not what the hook promises."""
    answers = Answers(
        operators=_specs(ask, "register_operators", OperatorSpec),
        executors=_specs(ask, "register_executors", ExecutorSpec),
        timetables=_specs(ask, "register_timetables", TimetableKind),
        weight_rules=_specs(ask, "register_weight_rules", WeightRuleSpec),
        cli_commands=_specs(ask, "register_cli_commands", CliCommandSpec),
    )
    _check_operators(answers.operators)
    _check_executors(answers.executors)
    _check_timetables(answers.timetables)
    _check_weight_rules(answers.weight_rules)
    _check_commands(answers.cli_commands)
    return answers


def _specs(ask: Ask, hook: str, kind: type[_Spec]) -> tuple[_Spec, ...]:
    found: list[_Spec] = []
    for answer in ask(hook):
        if not isinstance(answer, Sequence) or not all(isinstance(item, kind) for item in answer):
            raise PluginError(f"{hook} returned {answer!r:.80}; return a list of {kind.__name__}")
        found.extend(answer)
    names = [spec.name for spec in found]
    for name in names:
        if names.count(name) > 1:
            raise PluginError(f"{hook} names {name!r} twice; leave one out")
    return tuple(found)


def _check_operators(specs: Iterable[OperatorSpec]) -> None:
    for spec in specs:
        _check_import_path(f"operator {spec.name!r}", spec.import_path)
        if spec.decorator is not None and not spec.decorator.isidentifier():
            raise PluginError(f"operator {spec.name!r}: decorator {spec.decorator!r} is no Python name")


def _check_executors(specs: Iterable[ExecutorSpec]) -> None:
    for spec in specs:
        for field in ("factory", "parallelism"):
            value = getattr(spec, field)
            if not callable(value) and not (field == "parallelism" and value is None):
                raise PluginError(f"executor {spec.name!r}: {field} {value!r:.80} is not a function")


def _check_timetables(kinds: Iterable[TimetableKind]) -> None:
    for kind in kinds:
        if not _KIND_NAME.fullmatch(kind.name):
            raise PluginError(
                f"timetable {kind.name!r:.80}: use small letters and digits, with single _, - or . between them"
            )
        if kind.name in KINDS_OF_CORE:
            raise PluginError(f"timetable {kind.name!r} is a kind of core; choose another name")
        for field in ("factory", "describe"):
            value = getattr(kind, field)
            if not callable(value) and not (field == "describe" and value is None):
                raise PluginError(f"timetable {kind.name!r}: {field} {value!r:.80} is not a function")


def _check_weight_rules(specs: Iterable[WeightRuleSpec]) -> None:
    for spec in specs:
        if not _KIND_NAME.fullmatch(spec.name):
            raise PluginError(
                f"weight rule {spec.name!r:.80}: use small letters and digits, with single _, - or . between them"
            )
        if spec.name in BUILT_IN_RULES:
            raise PluginError(f"weight rule {spec.name!r} is a rule of core; choose another name")
        if not callable(spec.weigh):
            raise PluginError(f"weight rule {spec.name!r}: weigh {spec.weigh!r:.80} is not a function")


def _check_commands(specs: Iterable[CliCommandSpec]) -> None:
    for spec in specs:
        _check_import_path(f"command {spec.name!r}", spec.import_path)
        if not _COMMAND_NAME.fullmatch(spec.name):
            raise PluginError(f"command {spec.name!r}: use small letters, digits and single dashes")


def _check_import_path(what: str, import_path: str) -> None:
    if not _IMPORT_PATH.fullmatch(import_path):
        raise PluginError(f"{what}: import path {import_path!r} is not of the form 'package.module:Name'")
