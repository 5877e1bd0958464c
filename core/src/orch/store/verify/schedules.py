"""What schedules must have made: I16."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from orch.clock import from_micros, to_micros
from orch.domain.dagspec import DagSpec
from orch.domain.tick_spans import ticks_between
from orch.domain.timetables import DagTimetable, OnceTimetable, timetable_of
from orch.errors import OrchError
from orch.store.engine import Tx
from orch.store.queries import runs
from orch.store.verify.cursors import cursor_problems
from orch.store.verify.findings import Check, Finding, findings

RUNS_AT_ONCE = 5000

TimetableOf = Callable[[DagSpec], DagTimetable]


def schedules_kept(tx: Tx, timetable_of: TimetableOf = timetable_of) -> Iterable[Finding]:
    """I16: the dates of scheduled runs are the ticks of the schedule: no gap, no double, nothing else.

    With catch-up all ticks since the schedule was first dealt with, without it those that were the latest when
    their runs were made, and of live DAGs the next tick is one that follows. One finding per DAG. Schedules that
    follow the end of their runs have no ticks to compare with; a schedule whose timetable is not there now is left
    out.
    """
    doubles = findings(
        tx, "I16", "DAG {0}: {2} scheduled runs have the logical date {1}",
        "SELECT d.dag_id, strftime('%Y-%m-%dT%H:%M:%SZ', MIN(g.date) / 1000000, 'unixepoch'), MAX(g.runs) FROM ("
        f" SELECT dag_pk, logical_date AS date, COUNT(*) AS runs FROM dag_run WHERE {_SCHEDULED}"
        " GROUP BY dag_pk, run_type, logical_date HAVING COUNT(*) > 1) g JOIN dag d ON d.id = g.dag_pk"
        " GROUP BY d.dag_id",
    )  # fmt: skip
    yield from doubles
    known = {finding.ids[0] for finding in doubles}
    for kept in _kept(tx):
        if kept.dag_id not in known:
            problem = _problem(tx, kept, timetable_of)
            if problem is not None:
                known.add(kept.dag_id)
                yield Finding("I16", f"DAG {kept.dag_id}: {problem}", (kept.dag_id,))
    for dag_id, problem in cursor_problems(tx, timetable_of):
        if dag_id not in known:
            yield Finding("I16", f"DAG {dag_id}: {problem}", (dag_id,))


def schedules_kept_with(timetable_of: TimetableOf) -> Check:
    """Return the check for an installation whose plugins bring timetables."""
    return lambda tx: schedules_kept(tx, timetable_of)


_SCHEDULED = "run_type NOT IN ('manual', 'backfill') AND run_type = 'scheduled'"
"""Said this way so that the unique index on logical dates serves it."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a schedule says it has dealt with; microseconds."""

    dag_pk: int
    dag_id: str
    version_id: int
    changed_at: int
    """When the schedule became what it is; 0 when that is not known."""
    since_tick_at: int | None
    last_tick_at: int | None


_Run = tuple[int, int]
"""Logical date and time of creation."""


def _kept(tx: Tx) -> list[_Kept]:
    rows = tx.rows(
        "SELECT c.dag_pk, d.dag_id, d.current_version_id, c.changed_at, c.since_tick_at, c.last_tick_at"
        " FROM schedule_cursor c JOIN dag d ON d.id = c.dag_pk"
        " WHERE NOT c.follows_end AND d.current_version_id IS NOT NULL AND (c.changed_at > 0 OR c.since_tick_at > 0)"
        " ORDER BY d.dag_id"
    )
    return [_Kept(*row) for row in rows]


def _problem(tx: Tx, kept: _Kept, timetable_of: TimetableOf) -> str | None:
    spec = runs.spec_of_version(tx, kept.version_id)
    try:
        timetable = timetable_of(spec)
        if kept.since_tick_at is None or kept.last_tick_at is None:
            return _stray(tx, kept, None)
        first = timetable.logical_date(from_micros(kept.since_tick_at))
        last = timetable.logical_date(from_micros(kept.last_tick_at))
        span = to_micros(first), to_micros(last)
        if isinstance(timetable, OnceTimetable) and timetable.start is None:
            return _stray(tx, kept, span)  # its one date is the moment at which it was first seen
        made = _made(tx, kept.dag_pk, span)
        compare = _gap_or_extra if spec.catchup else _not_the_latest
        return compare(timetable, kept, ticks_between(timetable, first, last), made) or _stray(tx, kept, span)
    except OrchError:
        return None


def _made(tx: Tx, dag_pk: int, span: tuple[int, int]) -> Iterator[_Run]:
    """Yield the scheduled runs with dates in a span, in order, few at a time."""
    after, last = span[0] - 1, span[1]
    while True:
        rows: list[_Run] = tx.rows(
            f"SELECT logical_date, created_at FROM dag_run WHERE dag_pk = ? AND {_SCHEDULED}"
            " AND logical_date > ? AND logical_date <= ? ORDER BY logical_date LIMIT ?",
            (dag_pk, after, last, RUNS_AT_ONCE),
        )
        yield from rows
        if len(rows) < RUNS_AT_ONCE:
            return
        after = rows[-1][0]


def _gap_or_extra(
    timetable: DagTimetable, kept: _Kept, ticks: Iterator[datetime], made: Iterator[_Run]
) -> str | None:
    """Walk along ticks and runs together; runs of a former schedule may lie between."""
    run = next(made, None)
    for tick in ticks:
        date = to_micros(timetable.logical_date(tick))
        while run is not None and run[0] < date:
            if run[1] >= kept.changed_at:
                return _no_tick(run)
            run = next(made, None)
        if run is None or run[0] > date:
            return f"no scheduled run for {_text(date)}, which the schedule has"
        run = next(made, None)
    extra = next((run for run in chain([run] if run else [], made) if run[1] >= kept.changed_at), None)
    return None if extra is None else _no_tick(extra)


def _not_the_latest(
    timetable: DagTimetable, kept: _Kept, ticks: Iterator[datetime], made: Iterator[_Run]
) -> str | None:
    """Check that each run is for a tick that had come when it was made, and that the next one had not."""
    spans = _with_following(timetable, ticks)
    date = at = 0
    begin, end = from_micros(0), None
    for date, created_at in made:
        if created_at < kept.changed_at:
            continue
        while at < date and (span := next(spans, None)) is not None:
            begin, end = span
            at = to_micros(timetable.logical_date(begin))
        if at != date:
            return _no_tick((date, created_at))
        if created_at < to_micros(begin) or (end is not None and created_at >= to_micros(end)):
            return f"the scheduled run for {_text(date)}, made at {_text(created_at)}, was not for the latest tick"
    last = to_micros(timetable.logical_date(from_micros(kept.last_tick_at or 0)))
    return None if date == last else f"no scheduled run for {_text(last)}, the last tick dealt with"


def _with_following(
    timetable: DagTimetable, ticks: Iterator[datetime]
) -> Iterator[tuple[datetime, datetime | None]]:
    """Yield each tick with the one after it."""
    before = None
    for tick in ticks:
        if before is not None:
            yield before, tick
        before = tick
    if before is not None:
        yield before, timetable.next_after(before)


def _stray(tx: Tx, kept: _Kept, span: tuple[int, int] | None) -> str | None:
    """Look for a run that this schedule made outside of what it has dealt with; served by an index on creation."""
    if not kept.changed_at:
        return None
    first, last = span or (0, 0)
    rows = tx.rows(
        "SELECT logical_date, created_at FROM dag_run WHERE dag_pk = ? AND created_at >= ? AND run_type = 'scheduled'"
        " AND logical_date NOT BETWEEN ? AND ? LIMIT 1",
        (kept.dag_pk, kept.changed_at, first, last),
    )
    return _no_tick(rows[0]) if rows else None


def _no_tick(run: _Run) -> str:
    return f"the scheduled run for {_text(run[0])}, made at {_text(run[1])}, is for no tick of the schedule"


def _text(micros: int) -> str:
    return from_micros(micros).isoformat()
