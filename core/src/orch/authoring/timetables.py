"""Timetables as authors write them: what `schedule=` takes beside None and texts, and how it is serialised."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from orch.domain.cron import CronExpression
from orch.domain.dagspec import TimetableSpec
from orch.domain.timetables.dates import MOST_DATES
from orch.domain.timetables.deltas import LONGEST, SHORTEST
from orch.domain.timetables.words import every
from orch.errors import BadInput

MOST_WORDS = 200


class Declared(NamedTuple):
    """A schedule in the words of `DagSpec`."""

    schedule: str | None
    timetable: TimetableSpec | None = None


class Declaration(ABC):
    """What an author declares as the schedule of a DAG."""

    @abstractmethod
    def declared(self, zone: tzinfo) -> Declared:
        """Return the serialised form; a BadInput says what is wrong. Dates without a zone are read in `zone`."""


@dataclass(frozen=True, slots=True)
class CronInterval(Declaration):
    """A run for each span between two matches of a cron expression, at its end; its start is the logical date."""

    expression: str

    def declared(self, zone: tzinfo) -> Declared:  # noqa: ARG002 - the zone of the DAG is in its spec
        """Return it with the expression checked."""
        text = cron_text(self.expression)
        return Declared(f"{text} (interval)", TimetableSpec("cron_interval", {"expression": text}))


@dataclass(frozen=True, slots=True)
class SeveralCrons(Declaration):
    """A run whenever any of several cron expressions matches, one where they coincide."""

    expressions: Sequence[str]

    def declared(self, zone: tzinfo) -> Declared:  # noqa: ARG002
        """Return it with every expression checked; the order makes no difference."""
        if not isinstance(self.expressions, list | tuple):
            raise BadInput(f"several crons are a list of texts, not {self.expressions!r:.100}")
        texts = sorted({cron_text(expression) for expression in self.expressions})
        if not texts:
            raise BadInput("the list is empty; name an expression, or None for a DAG that runs by hand only")
        if len(texts) == 1:
            return Declared(texts[0])
        return Declared(_cut(" and ".join(texts)), TimetableSpec("crons", {"expressions": texts}))


@dataclass(frozen=True, slots=True)
class Delta(Declaration):
    """A run each time a span of elapsed time is over, counted from the start date, else from 1970; a timedelta."""

    delta: timedelta

    def declared(self, zone: tzinfo) -> Declared:  # noqa: ARG002
        """Return it with the span checked."""
        return Declared(every(_span(self.delta)), TimetableSpec("delta", _seconds(self.delta)))


@dataclass(frozen=True, slots=True)
class DeltaInterval(Declaration):
    """A run for each span of elapsed time, at its end; its start is the logical date."""

    delta: timedelta

    def declared(self, zone: tzinfo) -> Declared:  # noqa: ARG002
        """Return it with the span checked."""
        words = f"{every(_span(self.delta))} (interval)"
        return Declared(words, TimetableSpec("delta_interval", _seconds(self.delta)))


@dataclass(frozen=True, slots=True)
class Dates(Declaration):
    """A run for each of these datetimes, 1 to 10,000; those without a zone are read in that of the DAG."""

    dates: Sequence[datetime]

    def declared(self, zone: tzinfo) -> Declared:
        """Return it with the dates in UTC, sorted and each once."""
        if not isinstance(self.dates, list | tuple):
            raise BadInput(f"dates are a list of datetimes, not {self.dates!r:.100}")
        found = sorted({_utc(date, zone) for date in self.dates})
        if not 1 <= len(found) <= MOST_DATES:
            raise BadInput(f"the list has {len(found):,} dates; it takes 1 to {MOST_DATES:,}")
        first, last = (f"{date.astimezone(zone):%Y-%m-%d %H:%M}" for date in (found[0], found[-1]))
        words = f"on {first}" if len(found) == 1 else f"{len(found):,} dates, {first} to {last}"
        return Declared(words, TimetableSpec("dates", {"dates": [date.isoformat() for date in found]}))


@dataclass(frozen=True, slots=True)
class Continuous(Declaration):
    """A run as soon as the one before has ended, at least a second after that one was made."""

    def declared(self, zone: tzinfo) -> Declared:  # noqa: ARG002
        """Return it; there is nothing to check."""
        return Declared("@continuous", TimetableSpec("continuous"))


class PluginTimetable(Declaration):
    """A timetable of a kind that a plugin brings: its name, and arguments of plain JSON by name."""

    __slots__ = ("arguments", "kind")

    def __init__(self, kind: str, /, **arguments: Any) -> None:
        self.kind = str(kind)
        self.arguments = arguments

    def declared(self, zone: tzinfo) -> Declared:  # noqa: ARG002
        """Return it; whether the plugin is there and takes the arguments is checked when the file is accepted."""
        if not self.kind.strip():
            raise BadInput(
                "the name of the timetable is empty; `orch plugins` lists the plugins that may bring one"
            )
        if self.kind in CLASSES:
            raise BadInput(f"{self.kind!r} is a kind of core; write {CLASSES[self.kind]}(...)")
        arguments = {name: _plain(name, value) for name, value in sorted(self.arguments.items())}
        shown = ", ".join(f"{name}={json.dumps(value)}" for name, value in arguments.items())
        return Declared(_cut(f"{self.kind}({shown})"), TimetableSpec(self.kind, arguments))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PluginTimetable) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self.kind)

    def __repr__(self) -> str:
        return f"PluginTimetable({', '.join([repr(self.kind), *(f'{n}={v!r}' for n, v in self.arguments.items())])})"

    def _key(self) -> tuple[str, Mapping[str, Any]]:
        return self.kind, self.arguments


CLASSES: Mapping[str, str] = {
    "cron_interval": "CronInterval",
    "crons": "SeveralCrons",
    "delta": "Delta",
    "delta_interval": "DeltaInterval",
    "dates": "Dates",
    "continuous": "Continuous",
}
"""Kind of core -> the class that declares it."""

AIRFLOW_NAMES: Mapping[str, str] = {
    "ContinuousTimetable": "Continuous",
    "CronDataIntervalTimetable": "CronInterval",
    "CronTriggerTimetable": 'a cron expression as text, schedule="0 6 * * *"',
    "DeltaDataIntervalTimetable": "DeltaInterval",
    "DeltaTriggerTimetable": "Delta",
    "EventsTimetable": "Dates",
    "MultipleCronTriggerTimetable": "SeveralCrons",
    "NullTimetable": "schedule=None",
    "OnceTimetable": 'schedule="@once"',
}
"""Class of Airflow -> what stands for it here."""


def cron_text(expression: Any) -> str:
    """Return a cron expression with single blanks; a BadInput names the column of a mistake."""
    if not isinstance(expression, str):
        raise BadInput(f"a cron expression is a text such as '0 6 * * *', not {expression!r:.100}")
    text = re.sub(r"\s+", " ", expression).strip()
    if text in ("@once", "@continuous"):
        raise BadInput(f"{text!r} is no cron expression; it is a schedule by itself")
    CronExpression.parse(text)
    return text


def _span(delta: Any) -> timedelta:
    if not isinstance(delta, timedelta):
        raise BadInput(f"a delta is a timedelta such as timedelta(hours=6), not {delta!r:.100}")
    if not SHORTEST <= delta <= LONGEST:
        raise BadInput(f"a delta is from 1 second to {LONGEST.days:,} days long, not {delta}")
    return delta


def _seconds(delta: timedelta) -> dict[str, float]:
    seconds = delta.total_seconds()
    return {"seconds": int(seconds) if seconds.is_integer() else seconds}


def _utc(date: Any, zone: tzinfo) -> datetime:
    if not isinstance(date, datetime):
        raise BadInput(f"a date is a datetime such as datetime(2024, 12, 24), not {date!r:.100}")
    try:
        moment = (date if date.tzinfo else date.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise BadInput(f"the date {date} is out of range") from None
    return datetime.combine(moment.date(), moment.time(), UTC)  # plain, also when it was of a subclass


def _plain(name: str, value: Any) -> Any:
    try:
        plain = json.loads(json.dumps(value, allow_nan=False, sort_keys=True))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(
            f"argument {name!r} is not plain JSON ({error}); write dates and the like as texts"
        ) from None
    return plain


def _cut(words: str) -> str:
    return words if len(words) <= MOST_WORDS else f"{words[: MOST_WORDS - 3]}..."
