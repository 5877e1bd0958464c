"""Answers: what one plugin gave to the `register_*` hooks, checked."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from orch.errors import PluginError
from orch.hookspecs import CliCommandSpec, ExecutorSpec, OperatorSpec

Ask = Callable[[str], list[Any]]
"""Calls a collecting hook of one plugin; returns a list of its answers, which has one item or none."""

_IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_COMMAND_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_Spec = TypeVar("_Spec", OperatorSpec, ExecutorSpec, CliCommandSpec)


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that one plugin brings."""

    operators: tuple[OperatorSpec, ...]
    executors: tuple[ExecutorSpec, ...]
    cli_commands: tuple[CliCommandSpec, ...]


def ask_plugin(ask: Ask) -> Answers:
    """Return what the plugin brings; PluginError when an answer is not what the hook promises."""
    answers = Answers(
        operators=_specs(ask, "register_operators", OperatorSpec),
        executors=_specs(ask, "register_executors", ExecutorSpec),
        cli_commands=_specs(ask, "register_cli_commands", CliCommandSpec),
    )
    _check_operators(answers.operators)
    _check_executors(answers.executors)
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


def _check_commands(specs: Iterable[CliCommandSpec]) -> None:
    for spec in specs:
        _check_import_path(f"command {spec.name!r}", spec.import_path)
        if not _COMMAND_NAME.fullmatch(spec.name):
            raise PluginError(f"command {spec.name!r}: use small letters, digits and single dashes")


def _check_import_path(what: str, import_path: str) -> None:
    if not _IMPORT_PATH.fullmatch(import_path):
        raise PluginError(f"{what}: import path {import_path!r} is not of the form 'package.module:Name'")
