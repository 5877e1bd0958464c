"""A question about a cron expression: from when on, in which zone, how many ticks, forwards or backwards."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, TypeVar

from orch.domain.cron import CronExpression, DstRule, next_tick, previous_tick
from orch.domain.zones import find_zone
from orch.errors import BadInput, nearest

MOST_TICKS = 10_000
MOST_SHOWN = 60
KEYS = ("expr", "after", "tz", "n", "prev", "dst")
"""What a question consists of, as options of `orch cron` and as keys of a line of `orch cron --batch`."""

KINDS: Mapping[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number with a point",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}
Value = TypeVar("Value", str, int, bool)


@dataclass(frozen=True, slots=True)
class Question:
    """When does an expression tick after (or before) a moment, which is itself excluded?"""

    expression: CronExpression
    after: datetime
    zone: tzinfo
    count: int
    backwards: bool
    dst: DstRule

    @classmethod
    def read(cls, asked: Mapping[str, Any], now: datetime) -> "Question":
        """Return the question in JSON values under `KEYS`; null stands for the default, BadInput names the key."""
        for key in asked:
            if key not in KEYS:
                raise BadInput(f"unknown key {_shown(key)}{nearest(key, KEYS) or _one_of(KEYS)}")
        expression = _value(asked, "expr", "")
        if asked.get("expr") is None:
            raise BadInput('\'expr\' is missing; write it like {"expr": "0 6 * * *"}')
        parsed, zone = CronExpression.parse(expression), find_zone(_value(asked, "tz", "UTC"))
        after = _value(asked, "after", "")
        return cls(
            expression=parsed,
            after=now if asked.get("after") is None else _moment(after, zone),
            zone=zone,
            count=_count(_value(asked, "n", 1)),
            backwards=_value(asked, "prev", False),
            dst=_rule(_value(asked, "dst", "vixie")),
        )

    def ticks(self) -> Iterator[datetime]:
        """Yield the ticks as the wall of the zone shows them; fewer than asked for where the calendar ends."""
        seek = previous_tick if self.backwards else next_tick
        last = self.after
        for _ in range(self.count):
            tick = seek(self.expression, last, self.zone, self.dst)
            if tick is None:
                return
            yield tick.astimezone(self.zone)
            last = tick


def _value(asked: Mapping[str, Any], key: str, default: Value) -> Value:
    value = asked.get(key)
    if value is None:
        return default
    if type(value) is not type(default):  # to isinstance, true would be a whole number
        raise BadInput(f"{key!r} must be {KINDS[type(default)]}, not {KINDS[type(value)]}")
    return value


def _moment(text: str, zone: tzinfo) -> datetime:
    """A time without an offset is wall time in the zone: the first of two, or counted on from before a gap."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        example = "write 2026-01-31 or 2026-01-31T06:00+01:00"
        raise BadInput(f"'after' is {_shown(text)}, which is not a moment; {example}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _count(number: int) -> int:
    if not 1 <= number <= MOST_TICKS:
        given = number if abs(number) < 10**MOST_SHOWN else f"a number of more than {MOST_SHOWN} digits"
        raise BadInput(f"'n' is {given}; it must be from 1 to {MOST_TICKS}")
    return number


def _rule(name: str) -> DstRule:
    names = [rule.value for rule in DstRule]
    if name not in names:
        raise BadInput(
            f"unknown rule {_shown(name)} for clock changes{nearest(name, names) or _one_of(names)}"
        )
    return DstRule(name)


def _one_of(names: Iterable[str]) -> str:
    return f"; use one of {', '.join(names)}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}...")
