"""The text of a cron expression, read into bit sets; a mistake is reported with its column."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from orch.domain.cron_fields import CronFields
from orch.errors import BadInput, nearest

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEK_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MOST_CHARACTERS = 1000


class CronError(BadInput):
    """A cron expression cannot be read, or names no date that exists."""

    def __init__(self, text: str, column: int, reason: str) -> None:
        self.column = column
        super().__init__(f"bad cron expression {text!r}, column {column}: {reason}")


@dataclass(frozen=True, slots=True)
class Kind:
    """What may stand in one field; `7/5` runs up to `end`, which a number may exceed only as an alias."""

    name: str
    low: int
    high: int
    end: int
    names: Mapping[str, int]


SECOND = Kind("second", 0, 59, 59, {})
MINUTE = Kind("minute", 0, 59, 59, {})
HOUR = Kind("hour", 0, 23, 23, {})
MONTH_DAY = Kind("day of month", 1, 31, 31, {})
MONTH = Kind("month", 1, 12, 12, {name: number for number, name in enumerate(MONTHS, start=1)})
WEEK_DAY = Kind("day of week", 0, 7, 6, {name: number for number, name in enumerate(WEEK_DAYS)})


class Part(NamedTuple):
    """A piece of the text and the 1-based column it starts at."""

    text: str
    column: int

    def split(self, separator: str) -> "list[Part]":
        """Cut at each separator; the parts know their own columns."""
        parts, column = [], self.column
        for text in self.text.split(separator):
            parts.append(Part(text, column))
            column += len(text) + len(separator)
        return parts


def read_fields(text: str) -> CronFields:
    """Read `minute hour day-of-month month day-of-week`, with seconds in front if there are six, or a macro."""
    return _Reader(text).fields()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text

    def fail(self, column: int, reason: str) -> NoReturn:
        raise CronError(self.text, column, reason)

    def fields(self) -> CronFields:
        parts = self.parts()
        second = parts[0] if len(parts) == 6 else Part("0", 1)
        minute, hour, month_day, month, week_day = parts[-5:]
        seconds, minutes = self.numbers(second, SECOND), self.numbers(minute, MINUTE)
        hours = self.numbers(hour, HOUR)
        month_days, days_before_last, work_days = self.month_days(month_day)
        months = self.numbers(month, MONTH)
        week_days, nth_week_days = self.week_days(week_day)
        return CronFields(
            text=self.text,
            seconds=seconds,
            minutes=minutes,
            hours=hours,
            month_days=month_days,
            days_before_last=days_before_last,
            work_days=work_days,
            months=months,
            week_days=week_days,
            nth_week_days=nth_week_days,
            either_day=not (month_day.text.startswith("*") or week_day.text.startswith("*")),
            is_wildcard=minute.text.startswith("*") or hour.text.startswith("*"),
        )

    def parts(self) -> list[Part]:
        if len(self.text) > MOST_CHARACTERS:
            self.fail(MOST_CHARACTERS + 1, f"longer than {MOST_CHARACTERS} characters")
        parts = [Part(match[0], match.start() + 1) for match in re.finditer(r"\S+", self.text)]
        if parts and parts[0].text.startswith("@"):
            return self.macro(parts)
        if not 5 <= len(parts) <= 6:
            column = parts[6].column if len(parts) > 6 else len(self.text) + 1
            self.fail(
                column,
                f"{len(parts)} fields; it takes 5 (minute, hour, day of month, month, day of week), or 6 with"
                " the second first",
            )
        return parts

    def macro(self, parts: Sequence[Part]) -> list[Part]:
        if len(parts) > 1:
            self.fail(parts[1].column, f"nothing may follow {parts[0].text}")
        name, column = parts[0].text.lower(), parts[0].column
        if name not in MACROS:
            hint = nearest(name, MACROS) or f"; use one of {', '.join(MACROS)}"
            self.fail(column, f"unknown macro {parts[0].text!r}{hint}")
        return [Part(text, column) for text in MACROS[name].split()]

    def numbers(self, field: Part, kind: Kind) -> int:
        """The set of a field that is a list of numbers, ranges and steps."""
        bits = 0
        for item in field.split(","):
            bits |= self.item(item, kind)
        return bits

    def month_days(self, field: Part) -> tuple[int, int, int]:
        days = before_last = work_days = 0
        for item in field.split(","):
            text = item.text.upper()
            if text == "LW":
                work_days |= 1
            elif text.startswith("L"):
                before_last |= 1 << self.days_before_last(item)
            elif text.endswith("W"):
                work_days |= 1 << self.number(Part(item.text[:-1], item.column), MONTH_DAY)
            else:
                days |= self.item(item, MONTH_DAY)
        return days, before_last, work_days

    def days_before_last(self, item: Part) -> int:
        match = re.fullmatch(r"L(?:-([0-9]+))?", item.text, re.IGNORECASE)
        if not match:
            self.fail(item.column, f"{item.text!r} is not understood; L, L-3 and LW are")
        days = int(match[1] or 0)
        if days > 30:
            self.fail(item.column + 2, f"no month has {days} days before its last")
        return days

    def week_days(self, field: Part) -> tuple[int, tuple[int, ...]]:
        days, nth = 0, [0] * 6
        for item in field.split(","):
            if item.text.upper() == "L":
                self.fail(item.column, "L needs a day before it: 5L is the last Friday of the month")
            if "#" in item.text:
                day, *week = item.split("#")
                nth[self.week(week)] |= 1 << self.number(day, WEEK_DAY) % 7
            elif item.text[-1:] in ("L", "l"):
                nth[0] |= 1 << self.number(Part(item.text[:-1], item.column), WEEK_DAY) % 7
            else:
                days |= self.item(item, WEEK_DAY)
        return days, tuple(nth)

    def week(self, parts: Sequence[Part]) -> int:
        if len(parts) != 1 or parts[0].text not in ("1", "2", "3", "4", "5"):
            text = "#".join(part.text for part in parts)
            self.fail(
                parts[0].column, f"week {text!r} is not in 1-5: MON#2 is the second Monday of the month"
            )
        return int(parts[0].text)

    def item(self, item: Part, kind: Kind) -> int:
        """The set of `*`, `7`, `7-30`, each perhaps with a step as in `*/5`."""
        span, *steps = item.split("/")
        if len(steps) > 1:
            self.fail(steps[1].column - 1, "one step is enough")
        step = self.step(steps[0], kind) if steps else 1
        first, last = self.span(span, kind, open_ended=bool(steps))
        bits = 0
        for number in range(first, last + 1, step):
            bits |= 1 << (number % 7 if kind is WEEK_DAY else number)
        return bits

    def span(self, span: Part, kind: Kind, open_ended: bool) -> tuple[int, int]:
        if span.text == "*":
            return kind.low, kind.end
        first, *rest = span.split("-")
        low = self.number(first, kind)
        if not rest:
            return low, max(low, kind.end) if open_ended else low
        if len(rest) > 1:
            self.fail(rest[1].column - 1, f"a range has two ends, {span.text!r} has more")
        high = self.number(rest[0], kind)
        if kind is WEEK_DAY and rest[0].text.upper() == "SUN" and low > 0:
            high = 7
        if high < low:
            instead = f"{first.text}-{kind.end},{kind.low}-{rest[0].text}"
            self.fail(span.column, f"{kind.name} range {span.text} runs backwards; write {instead}")
        return low, high

    def step(self, step: Part, kind: Kind) -> int:
        if not re.fullmatch("[0-9]+", step.text) or int(step.text) == 0:
            self.fail(step.column, f"{kind.name} step {step.text!r} is not a number of 1 or more")
        return int(step.text)

    def number(self, part: Part, kind: Kind) -> int:
        name = part.text.upper()
        if name in kind.names:
            return kind.names[name]
        if not part.text:
            self.fail(part.column, f"the {kind.name} is missing")
        if not re.fullmatch("[0-9]+", part.text):
            wanted = f"a number or a name such as {next(iter(kind.names))}" if kind.names else "a number"
            hint = nearest(name, kind.names)
            self.fail(part.column, f"{kind.name} {part.text!r} is not {wanted}{hint}")
        if not kind.low <= int(part.text) <= kind.high:
            self.fail(part.column, f"{kind.name} {part.text} is not in {kind.low}-{kind.high}")
        return int(part.text)
