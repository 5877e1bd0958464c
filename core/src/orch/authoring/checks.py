"""Checks of argument values: each returns the value in its one form, or raises ValueError saying what it must be."""

import math
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from typing import Any

from orch.domain.trigger_rules import TriggerRule
from orch.errors import DagDefinitionError, nearest

Check = Callable[[Any], Any]

LARGEST = 2**31 - 1
MAX_TEXT = 250
LONGEST = timedelta(days=36_500)


def checked(thing: object, name: str, value: Any, check: Check) -> Any:
    """Return `check(value)`; a ValueError becomes a DagDefinitionError that names the thing and the argument."""
    try:
        return check(value)
    except DagDefinitionError as error:
        raise DagDefinitionError(f"{thing}: {error}") from None
    except ValueError as error:
        raise DagDefinitionError(f"{thing}: {name} {error}, not {_shown(value)}") from None


def optional(check: Check) -> Check:
    """Let None pass, and check everything else."""
    return lambda value: None if value is None else check(value)


def whole(least: int, most: int = LARGEST) -> Check:
    """Accept whole numbers in a closed range; True and False are none."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(value)

    return check


def span(value: Any) -> timedelta:
    """Accept a timedelta or seconds, not negative."""
    if isinstance(value, timedelta) and value >= timedelta(0):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and math.isfinite(value):
        try:
            return timedelta(seconds=value)
        except OverflowError:
            raise ValueError("must be shorter") from None
    raise ValueError("must be a timedelta or a number of seconds, not negative")


def positive_span(value: Any) -> timedelta:
    """Accept a timedelta or seconds, longer than nothing and within what timers of the system can measure."""
    length = span(value)
    if not timedelta(0) < length <= LONGEST:
        raise ValueError(f"must be longer than nothing and at most {LONGEST.days} days")
    return length


def multiplier(value: Any) -> float:
    """Accept False (1.0: the same delay each time), True (2.0: doubled each time), or a factor from 1 up."""
    if isinstance(value, bool) or value == 0:
        return 2.0 if value else 1.0
    if isinstance(value, int | float) and math.isfinite(value) and value >= 1:
        return float(value)
    raise ValueError("must be True, False or a factor from 1 up")


def switch(value: Any) -> bool:
    """Accept True and False."""
    if not isinstance(value, bool):
        raise ValueError("must be True or False")
    return value


def text(value: Any) -> str:
    """Accept any text that can be stored."""
    if not isinstance(value, str):
        raise ValueError("must be a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must be a text without lone surrogates") from None
    if "\0" in value:
        raise ValueError("must be a text without NUL characters")
    return value


def name(value: Any) -> str:
    """Accept a text that is not empty, not long, and one line."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > MAX_TEXT:
        raise ValueError(f"must be a name of 1 to {MAX_TEXT} printable characters")
    return value


def names(value: Any) -> tuple[str, ...]:
    """Accept a list, tuple or set of names; return them sorted, each once."""
    if not isinstance(value, list | tuple | set | frozenset):
        raise ValueError("must be a list of names")
    return tuple(sorted({name(item) for item in value}))


def one_of(choices: type[StrEnum]) -> Check:
    """Accept a member of the enum or the text of one; return the text."""

    def check(value: Any) -> str:
        try:
            return choices(value).value
        except ValueError:
            known = ", ".join(repr(choice.value) for choice in choices)
            raise ValueError(f"must be one of {known}") from None

    return check


def trigger_rule(value: Any) -> TriggerRule:
    """Accept a trigger rule or the name of one."""
    try:
        return TriggerRule(value)
    except ValueError:
        rules = [rule.value for rule in TriggerRule]
        hint = nearest(str(value), rules) or f"; known: {', '.join(rules)}"
        raise DagDefinitionError(f"unknown trigger rule {value!r}{hint}") from None


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 100 else f"{shown[:97]}..."
