"""Kinds of timetables: how the schedule of a serialised DAG becomes its timetable."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from orch.domain.cron import CronExpression, DstRule
from orch.domain.dagspec import DagSpec
from orch.domain.timetables.bounds import BoundedTimetable, DagTimetable, NeverTimetable, OnceTimetable
from orch.domain.timetables.continuous import ContinuousTimetable
from orch.domain.timetables.crons import CronIntervalTimetable, CronTimetable, SeveralCronsTimetable
from orch.domain.timetables.dates import MOST_DATES, DatesTimetable
from orch.domain.timetables.deltas import EPOCH, LONGEST, SHORTEST, DeltaIntervalTimetable, DeltaTimetable
from orch.domain.timetables.timetable import (
    CONTINUOUS,
    ONCE,
    Timetable,
    TimetableContext,
    TimetableError,
    TimetableFactory,
)
from orch.domain.zones import find_zone
from orch.errors import nearest


def timetable_of(spec: DagSpec, kinds: Mapping[str, TimetableFactory] | None = None) -> DagTimetable:
    """Return the timetable of a DAG, within its dates; `kinds` are those of core unless plugins bring more.

    TimetableError for an unknown kind or impossible arguments, CronError for a bad expression.
    """
    known = BUILT_IN if kinds is None else kinds
    context = context_of(spec)
    if spec.timetable is not None:
        factory = known.get(spec.timetable.kind)
        if factory is None:
            raise TimetableError(
                f"unknown timetable {spec.timetable.kind!r}{_remedy(spec.timetable.kind, known)}"
            )
        rule = factory(spec.timetable.arguments, context)
        return BoundedTimetable(rule, context.start_date, context.end_date, follows_end(spec))
    if spec.schedule is None:
        return NeverTimetable()
    if spec.schedule == ONCE:
        return OnceTimetable(context.start_date, context.end_date)
    return BoundedTimetable(_cron(spec.schedule, context), context.start_date, context.end_date)


def follows_end(spec: DagSpec) -> bool:
    """Return whether a scheduled run of this DAG begins when the one before has ended."""
    return spec.timetable is not None and spec.timetable.kind == CONTINUOUS


def context_of(spec: DagSpec) -> TimetableContext:
    """Return what a kind of timetable may know of the DAG."""
    return TimetableContext(
        find_zone(spec.timezone), DstRule(spec.dst), _utc(spec.start_date), _utc(spec.end_date)
    )


def _remedy(kind: str, known: Mapping[str, TimetableFactory]) -> str:
    return nearest(kind, known) or "; install the plugin that brings it"


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def _cron(text: str, context: TimetableContext) -> CronTimetable:
    return CronTimetable(CronExpression.parse(text), context.zone, context.dst)


def _cron_interval(arguments: Mapping[str, Any], context: TimetableContext) -> Timetable:
    return CronIntervalTimetable(_cron(arguments["expression"], context))


def _crons(arguments: Mapping[str, Any], context: TimetableContext) -> Timetable:
    crons = tuple(_cron(text, context) for text in arguments["expressions"])
    if not crons:
        raise TimetableError("several crons are at least one; name an expression")
    return SeveralCronsTimetable(crons)


def _delta(arguments: Mapping[str, Any], context: TimetableContext) -> DeltaTimetable:
    delta = timedelta(seconds=arguments["seconds"])
    if not SHORTEST <= delta <= LONGEST:
        raise TimetableError(f"a delta is from 1 second to {LONGEST.days:,} days long, not {delta}")
    return DeltaTimetable(delta, context.start_date or EPOCH)


def _delta_interval(arguments: Mapping[str, Any], context: TimetableContext) -> Timetable:
    return DeltaIntervalTimetable(_delta(arguments, context))


def _dates(arguments: Mapping[str, Any], context: TimetableContext) -> Timetable:  # noqa: ARG001 - a factory
    dates = tuple(sorted({datetime.fromisoformat(text).astimezone(UTC) for text in arguments["dates"]}))
    if not 1 <= len(dates) <= MOST_DATES:
        raise TimetableError(f"{len(dates):,} dates; name from 1 to {MOST_DATES:,}")
    return DatesTimetable(dates)


def _continuous(arguments: Mapping[str, Any], context: TimetableContext) -> Timetable:  # noqa: ARG001 - a factory
    return ContinuousTimetable()


BUILT_IN: Mapping[str, TimetableFactory] = MappingProxyType(
    {
        "cron_interval": _cron_interval,
        "crons": _crons,
        "delta": _delta,
        "delta_interval": _delta_interval,
        "dates": _dates,
        CONTINUOUS: _continuous,
    }
)
"""The kinds of core by name; a cron expression alone, `@once` and no schedule need none."""
