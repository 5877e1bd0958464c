"""What schedule cursors promise: the next tick of a live DAG is one that its schedule has (part of I16)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from orch.clock import from_micros
from orch.domain.dagspec import DagSpec
from orch.domain.timetables import DagTimetable, OnceTimetable
from orch.domain.timetables.timetable import just_before
from orch.errors import OrchError
from orch.store.engine import Tx
from orch.store.queries import runs
from orch.store.queries.cursors import AHEAD, UNKNOWN


def cursor_problems(tx: Tx, timetable_of: Callable[[DagSpec], DagTimetable]) -> Iterator[tuple[str, str]]:
    """Yield id and problem of each live DAG whose cursor is missing or wrong.

    A paused or missing DAG has no next tick; a schedule whose timetable is not there now is left out.
    """
    for dag_id, version_id, *values in tx.rows(
        "SELECT d.dag_id, d.current_version_id, c.dag_pk IS NOT NULL, c.last_tick_at, c.next_tick_at,"
        " c.since_tick_at IS NOT NULL FROM dag d LEFT JOIN schedule_cursor c ON c.dag_pk = d.id"
        " WHERE NOT d.is_paused AND NOT d.is_missing AND d.current_version_id IS NOT NULL"
        " AND c.next_tick_at IS NOT ? AND NOT COALESCE(c.follows_end, 0) ORDER BY d.dag_id",
        (UNKNOWN,),
    ):
        spec = runs.spec_of_version(tx, version_id)
        if spec.schedule is None and spec.timetable is None:
            continue
        try:
            problem = _problem(_Cursor(*values), spec, timetable_of(spec), tx.now)
        except OrchError:
            continue
        if problem is not None:
            yield dag_id, problem


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a schedule stands; microseconds."""

    is_there: bool
    last_tick_at: int | None
    next_tick_at: int | None
    has_begun: bool
    """Whether a tick was dealt with since the schedule became what it is."""


def _problem(cursor: _Cursor, spec: DagSpec, timetable: DagTimetable, now: int) -> str | None:
    if not cursor.is_there:
        return "it has a schedule and no cursor, so it gets no run"
    try:
        last = None if cursor.last_tick_at is None else from_micros(cursor.last_tick_at)
        following = None if cursor.next_tick_at is None else from_micros(cursor.next_tick_at)
    except OverflowError:
        return f"its last or next tick is no date: {cursor.last_tick_at}, {cursor.next_tick_at}"
    if cursor.last_tick_at is not None and cursor.last_tick_at > now + AHEAD:
        return f"the last tick dealt with is {last}, which has not come yet"
    if isinstance(timetable, OnceTimetable) and last is not None:
        return None  # had its tick, under whatever schedule
    if last is not None and cursor.has_begun and (spec.catchup or following is None):
        return _compared(following, timetable.next_after(last))
    return _in_reach(timetable, following, last, from_micros(now))


def _compared(following: datetime | None, right: datetime | None) -> str | None:
    return None if following == right else f"its next tick is {following} where the schedule has {right}"


def _in_reach(
    timetable: DagTimetable, following: datetime | None, last: datetime | None, now: datetime
) -> str | None:
    """Check a next tick that was counted from a moment: it is a tick, and at most the first one after now."""
    right = timetable.next_after(now if last is None else max(now, last))
    if following is None:
        return _compared(following, right)
    if following != timetable.next_after(just_before(following)) or following > (right or now):
        return _compared(following, right)
    return None
