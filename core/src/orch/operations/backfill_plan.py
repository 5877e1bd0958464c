"""Plans of backfills: what a request means for a DAG, and what it would do now; nothing is written."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any

from orch.clock import from_micros
from orch.domain.backfills import (
    MOST_DATES,
    Outcome,
    Reprocess,
    dates_between,
    first_moment,
    last_moment,
    needing_the_run_before,
    outcome_of,
    without_dates,
)
from orch.domain.dagspec import DagSpec
from orch.domain.tick_spans import ticks_between
from orch.domain.timetables import Timetable, timetable_of
from orch.domain.zones import find_zone
from orch.errors import BadInput, Conflict, nearest
from orch.operations.conf import check_conf
from orch.operations.logical_date import check_logical_date
from orch.store.queries import backfill_dates, backfills, reading
from orch.store.queries.backfills import BackfillRow
from orch.store.queries.reading import DagRow
from orch.store.reader import ReadTx

DEFAULT_ACTIVE = 10
MOST_ACTIVE = 1000
"""Runs of one backfill at once; a cancel ends that many in one transaction."""

TimetableOf = Callable[[DagSpec], Timetable]
"""Gives the timetable of a DAG within its dates."""


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """The runs that somebody wants."""

    dag_id: str
    first: date | datetime
    """Logical date, included: a moment, in the zone of the DAG if it has none, or a day from its first moment."""
    last: date | datetime
    """Logical date, included; a day until its last moment."""
    backwards: bool = False
    reprocess: str = Reprocess.NONE
    max_active_runs: int = DEFAULT_ACTIVE
    conf: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """A request that can be fulfilled: its dates, as far as they have come."""

    dag_pk: int
    dag_id: str
    dag_version_id: int
    dates: tuple[datetime, ...]
    """Earliest first."""
    reprocess: Reprocess
    body_hash: str
    not_yet: datetime | None
    """The first date of the range whose tick has not come, and which is no part of it therefore."""


@dataclass(frozen=True, slots=True)
class PlannedDate:
    """What would become of one date now."""

    logical_date: datetime
    outcome: Outcome
    run_id: str | None
    """The newest run of the date; None when it has none."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What creating a backfill would do now."""

    dates: tuple[PlannedDate, ...]
    """In the order of the backfill."""
    not_yet: datetime | None
    in_the_way: str | None
    """Why it cannot be created now although the request is good; None when it can."""


def check_request(request: BackfillRequest) -> None:
    """Raise BadInput for what no DAG could fulfil."""
    known = [each.value for each in Reprocess]
    if request.reprocess not in known:
        hint = nearest(request.reprocess, known) or f"; use one of {', '.join(known)}"
        raise BadInput(f"unknown reprocess {request.reprocess!r}{hint}")
    if not 1 <= request.max_active_runs <= MOST_ACTIVE:
        raise BadInput(
            f"{request.max_active_runs} active runs are not possible; --max-active is 1 to {MOST_ACTIVE}"
        )
    check_conf(request.conf)
    for bound in (request.first, request.last):
        check_logical_date(first_moment(bound, UTC))


def plan_of(tx: ReadTx, request: BackfillRequest, schedule: TimetableOf = timetable_of) -> BackfillPlan:
    """Return what a request means for its DAG as it is now; the error says why when it means nothing.

    Counts up to 100,000 dates, which may take two seconds.
    """
    check_request(request)
    dag = reading.find_dag(tx, request.dag_id)
    spec = _runnable(tx, dag)
    _check_schedule(request, spec)
    zone = find_zone(spec.timezone)
    first, last = first_moment(request.first, zone), last_moment(request.last, zone)
    if first > last:
        raise BadInput(f"--from {_shown(request.first)} is later than --to {_shown(request.last)}; swap them")
    timetable, now = schedule(spec), from_micros(tx.now)
    found = islice(dates_between(timetable, first, last, now), MOST_DATES + 1)
    dates = tuple(each.logical_date for each in found)
    if not dates:
        raise BadInput(_nothing_between(spec, timetable, request, (first, last), now))
    if len(dates) > MOST_DATES:
        raise BadInput(
            f"the range has more than {MOST_DATES:,} dates, the most that one backfill may have;"
            f" the last of those is {_shown(dates[-2])}: let --to be that one and make another for the rest"
        )
    return BackfillPlan(
        dag_pk=dag.dag_pk,
        dag_id=dag.dag_id,
        dag_version_id=dag.current_version_id or 0,
        dates=dates,
        reprocess=Reprocess(request.reprocess),
        body_hash=_body_hash(request, first, last),
        not_yet=_not_yet(timetable, dates[-1], last),
    )


def preview(tx: ReadTx, request: BackfillRequest, schedule: TimetableOf = timetable_of) -> Preview:
    """Return what creating the backfill would do with each date; when their turn comes that may be different."""
    plan = plan_of(tx, request, schedule)
    dates = reversed(plan.dates) if request.backwards else plan.dates
    planned = tuple(_planned(tx, plan, logical_date) for logical_date in dates)
    same = backfills.open_with(tx, plan.dag_pk, plan.body_hash)
    other = None if same is not None else across(tx, plan)
    in_the_way = f"backfill {same.backfill_id} does just that already" if same is not None else other
    return Preview(planned, plan.not_yet, in_the_way)


def across(tx: ReadTx, plan: BackfillPlan) -> str | None:
    """Return what is wrong when an open backfill of the DAG shares dates with the plan."""
    other = backfills.open_across(tx, plan.dag_pk, plan.dates[0], plan.dates[-1])
    return None if other is None else _overlap(other)


def _planned(tx: ReadTx, plan: BackfillPlan, logical_date: datetime) -> PlannedDate:
    newest = backfill_dates.newest_run(tx, plan.dag_pk, logical_date)
    if newest is None:
        return PlannedDate(logical_date, outcome_of(plan.reprocess, None), None)
    return PlannedDate(logical_date, outcome_of(plan.reprocess, newest.state), newest.run_id)


def _runnable(tx: ReadTx, dag: DagRow) -> DagSpec:
    if dag.is_missing or dag.current_version_id is None:
        raise Conflict(
            f"DAG {dag.dag_id!r} is gone: {dag.file} has it no more; put it back to fill its dates"
        )
    stored = tx.rows("SELECT 1 FROM dag WHERE id = ? AND bundle_id IS NOT NULL", (dag.dag_pk,))
    if dag.import_error is not None and not stored:
        raise BadInput(
            f"DAG {dag.dag_id!r}: {dag.file} cannot be imported now ({dag.import_error}); mend the file first"
        )
    return reading.spec_of(tx, dag.current_version_id)


def _check_schedule(request: BackfillRequest, spec: DagSpec) -> None:
    if (kind := without_dates(spec)) is not None:
        raise BadInput(
            f"DAG {spec.dag_id!r} has {kind}, so it has no dates to fill;"
            f" make single runs with `orch trigger {spec.dag_id} --logical-date DATE`"
        )
    task_id = needing_the_run_before(spec)
    if request.backwards and task_id is not None:
        raise BadInput(
            f"task {task_id!r} of DAG {spec.dag_id!r} needs the run before its own (depends_on_past), which"
            " --backwards would make later; leave --backwards out"
        )


def _nothing_between(
    spec: DagSpec,
    timetable: Timetable,
    request: BackfillRequest,
    span: tuple[datetime, datetime],
    now: datetime,
) -> str:
    """Say why there is no date, and which ones are near."""
    first, last = span
    text = f"DAG {spec.dag_id!r} has no date from {_shown(request.first)} to {_shown(request.last)}"
    if spec.start_date is not None and last < spec.start_date:
        return f"{text}: its start_date is {_shown(spec.start_date)}; choose later dates"
    if spec.end_date is not None and first > spec.end_date:
        return f"{text}: its end_date is {_shown(spec.end_date)}; choose earlier dates"
    before, after = timetable.latest(min(first, now)), timetable.next_after(last)
    come = next(ticks_between(timetable, first, last), None)
    if come is not None:
        return f"{text} that has come: the first one is {_shown(timetable.logical_date(come))}; wait for it"
    near = [_shown(timetable.logical_date(tick)) for tick in (before, after) if tick is not None]
    words = " and ".join(near)
    return f"{text}; the nearest are {words}" if words else f"{text}; its schedule has none at all"


def _not_yet(timetable: Timetable, newest: datetime, last: datetime) -> datetime | None:
    """Return the date after `newest` when the range has it too."""
    ticks = ticks_between(timetable, newest, last)
    following = next(islice(ticks, 1, None), None)
    return None if following is None else timetable.logical_date(following)


def _overlap(other: BackfillRow) -> str:
    return (
        f"backfill {other.backfill_id} of DAG {other.dag_id!r} is {other.state} and fills dates of this range:"
        f" {_shown(other.first)} to {_shown(other.last)}; wait for its end, choose other dates, or end it"
        f" with `orch backfill cancel {other.backfill_id}`"
    )


def _body_hash(request: BackfillRequest, first: datetime, last: datetime) -> str:
    body = [first.isoformat(), last.isoformat(), request.backwards, str(request.reprocess),
            request.max_active_runs, dict(request.conf)]  # fmt: skip
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _shown(bound: date) -> str:
    """Return a day or a moment as it was given, or a stored one in UTC."""
    return bound.isoformat()
