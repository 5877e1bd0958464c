"""Timetables of plugins, guarded: what breaks the contract of timetables is an error that names its plugin."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

from orch.domain.timetables import (
    Interval,
    Timetable,
    TimetableContext,
    TimetableError,
)
from orch.hookspecs import TimetableKind
from orch.plugins.answers import Answers
from orch.plugins.deadline import DeadlineError, deadline

BUDGET_SECONDS = 0.1
"""What one call of a timetable may take."""
LAST_SECONDS = 1.0
"""A call that has taken so long is ended."""
MOST_WORDS = 200

_Answer = TypeVar("_Answer")


def guarded_kinds(answers: Mapping[str, Answers]) -> Mapping[str, "GuardedKind"]:
    """Return the kinds that these plugins bring, guarded, by name."""
    kinds = {
        kind.name: GuardedKind(kind, plugin) for plugin, each in answers.items() for kind in each.timetables
    }
    return MappingProxyType(kinds)


@dataclass(frozen=True, slots=True)
class GuardedKind:
    """A kind of a plugin; makes guarded timetables."""

    kind: TimetableKind
    plugin: str

    def __call__(self, arguments: Mapping[str, Any], context: TimetableContext) -> Timetable:
        """Return the timetable of one DAG; TimetableError names the kind and the plugin."""
        made = self.call("its factory", lambda: self.kind.factory(arguments, context))
        missing = [name for name in _METHODS if not callable(getattr(made, name, None))]
        if missing:
            self.fail(f"its factory returned {made!r:.80}, which has no {missing[0]}()")
        return GuardedTimetable(made, self)

    def words(self, arguments: Mapping[str, Any]) -> str | None:
        """Return the schedule in a few words, None when the kind has none."""
        describe = self.kind.describe
        if describe is None:
            return None
        words: object = self.call("describe", lambda: describe(arguments))
        if not isinstance(words, str) or not words.strip():
            self.fail(f"describe returned {words!r:.80}; return a text")
        return " ".join(words.split())[:MOST_WORDS]

    def call(self, what: str, function: Callable[[], _Answer]) -> _Answer:
        """Return what the function returns within its budget; everything else is a TimetableError.

        A call over the budget is repeated once: the first may have imported something, or the machine stood still.
        """
        answer, took = self._timed(what, function)
        if took > BUDGET_SECONDS:
            answer, took = self._timed(what, function)
        if took > BUDGET_SECONDS:
            self.fail(f"{what} took {took:.2f} s; it may take {BUDGET_SECONDS:g} s")
        return answer

    def fail(self, what: str, cause: BaseException | None = None) -> NoReturn:
        """Raise a TimetableError that names the kind and its plugin."""
        raise TimetableError(f"timetable {self.kind.name!r} of plugin {self.plugin!r}: {what}") from cause

    def _timed(self, what: str, function: Callable[[], _Answer]) -> tuple[_Answer, float]:
        began = time.monotonic()
        try:
            with deadline(LAST_SECONDS):
                answer = function()
        except DeadlineError:
            self.fail(f"{what} was ended after {LAST_SECONDS:g} s; it may take {BUDGET_SECONDS:g} s")
        except TimetableError as error:
            self.fail(str(error))
        except (Exception, SystemExit) as error:  # the edge of foreign code
            self.fail(f"{what} raised {type(error).__name__}: {error}", error)
        return answer, time.monotonic() - began


@dataclass(frozen=True, slots=True)
class GuardedTimetable:
    """A timetable of a plugin whose every answer is checked."""

    timetable: Timetable
    guard: GuardedKind

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first tick later than `moment`."""
        what = f"next_after({moment.isoformat()})"
        tick = self._tick(what, self.guard.call(what, lambda: self.timetable.next_after(moment)))
        if tick is not None and tick <= moment:
            self.guard.fail(f"{what} returned {tick.isoformat()}, which is not later")
        return tick

    def latest(self, moment: datetime) -> datetime | None:
        """Return the last tick at or before `moment`."""
        what = f"latest({moment.isoformat()})"
        tick = self._tick(what, self.guard.call(what, lambda: self.timetable.latest(moment)))
        if tick is not None and tick > moment:
            self.guard.fail(f"{what} returned {tick.isoformat()}, which is later")
        return tick

    def interval_of(self, tick: datetime) -> Interval:
        """Return the data interval of the run of this tick."""
        what = f"interval_of({tick.isoformat()})"
        answer: object = self.guard.call(what, lambda: self.timetable.interval_of(tick))
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            self.guard.fail(f"{what} returned {answer!r:.120}; return (start, end)")
        start, end = (self._moment(what, each) for each in answer)
        if end < start:
            self.guard.fail(f"{what} ends at {end.isoformat()}, before its start {start.isoformat()}")
        return start, end

    def logical_date(self, tick: datetime) -> datetime:
        """Return the logical date of the run of this tick."""
        what = f"logical_date({tick.isoformat()})"
        date = self._moment(what, self.guard.call(what, lambda: self.timetable.logical_date(tick)))
        if date > tick:
            self.guard.fail(f"{what} returned {date.isoformat()}, which is after the tick")
        return date

    def _tick(self, what: str, answer: object) -> datetime | None:
        return None if answer is None else self._moment(what, answer)

    def _moment(self, what: str, answer: object) -> datetime:
        if not isinstance(answer, datetime) or answer.utcoffset() != timedelta(0):
            self.guard.fail(f"{what} returned {answer!r:.80}; every moment is an aware datetime in UTC")
        return answer.astimezone(UTC)


_METHODS = ("next_after", "latest", "interval_of", "logical_date")
