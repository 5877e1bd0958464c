"""Schedules: which runs a DAG gets in a stretch of time; nothing is written."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from orch.clock import from_micros
from orch.domain.backfills import first_moment, last_moment
from orch.domain.dagspec import DagSpec
from orch.domain.jitter import offset_of
from orch.domain.preview import Preview, Stretch, preview
from orch.domain.timetables import DagTimetable, NeverTimetable, OnceTimetable, timetable_of
from orch.domain.timetables.timetable import just_after
from orch.domain.zones import find_zone
from orch.errors import BadInput
from orch.store.queries import cursors, reading
from orch.store.reader import ReadTx

DEFAULT_RUNS = 10
MOST_RUNS = 100_000
"""More than ten years of hours."""


@dataclass(frozen=True, slots=True)
class ScheduleQuestion:
    """What somebody wants to see."""

    dag_id: str
    first: date | datetime | None = None
    """Logical date, included; None means the runs that are due from now on."""
    last: date | datetime | None = None
    """Logical date, included; None means no end."""
    most: int | None = None
    """None means all up to `last`, else 10."""


@dataclass(frozen=True, slots=True)
class ScheduleAnswer:
    """The runs, and what has to be said about them."""

    dag_id: str
    spec: DagSpec
    runs: Preview
    is_cut: bool
    """Whether the stretch may have more runs than were asked for."""
    remarks: tuple[str, ...] = ()
    """Sentences without a full stop."""


def preview_schedule(
    tx: ReadTx, question: ScheduleQuestion, timetable_of: Callable[[DagSpec], DagTimetable] = timetable_of
) -> ScheduleAnswer:
    """Return the runs that the schedule makes; NotFound for an unknown DAG, BadInput for a bad question."""
    most = _most(question)
    dag = reading.find_dag(tx, question.dag_id)
    if dag.current_version_id is None:
        raise BadInput(f"DAG {dag.dag_id!r} has no version yet; see `orch dags errors`")
    spec = reading.spec_of(tx, dag.current_version_id)
    timetable = timetable_of(spec)
    stretch = _stretch(question, spec, timetable, from_micros(tx.now), most)
    cursor = cursors.of_any(tx, dag.dag_pk)
    is_done = isinstance(timetable, OnceTimetable) and cursor is not None and cursor.last is not None
    runs = Preview([], [])
    if stretch is not None and not is_done and not timetable.follows_end:
        jitter = offset_of(spec.dag_id, timedelta(seconds=spec.jitter_seconds))
        runs = preview(timetable, find_zone(spec.timezone), stretch, jitter)
    remarks = [_about(spec, timetable, is_done=is_done, has_runs=bool(runs.runs), now=from_micros(tx.now))]
    if dag.is_paused:
        remarks.append(f"it is paused and gets no run before `orch unpause {dag.dag_id}`")
    if dag.is_missing:
        remarks.append(f"its file {dag.file} is gone, so it gets no run")
    is_cut = question.last is not None and len(runs.runs) == most
    return ScheduleAnswer(dag.dag_id, spec, runs, is_cut, tuple(filter(None, remarks)))


def _most(question: ScheduleQuestion) -> int:
    if question.most is None:
        return DEFAULT_RUNS if question.last is None else MOST_RUNS
    if not 1 <= question.most <= MOST_RUNS:
        raise BadInput(f"-n is {question.most}; it must be from 1 to {MOST_RUNS}")
    return question.most


def _stretch(
    question: ScheduleQuestion, spec: DagSpec, timetable: DagTimetable, now: datetime, most: int
) -> Stretch | None:
    """Return what to look at; None when no tick comes from now on."""
    zone = find_zone(spec.timezone)
    last = None if question.last is None else last_moment(question.last, zone)
    if question.first is not None:
        first = first_moment(question.first, zone)
        if last is not None and last < first:
            raise BadInput(f"--from {question.first} is later than --to {question.last}; exchange them")
        return Stretch(first, last, most)
    tick = timetable.next_after(now)
    if tick is None:
        return None if last is None or last < now else Stretch(just_after(now), last, most)
    date = timetable.logical_date(tick)
    if last is not None and last < date:
        return None
    return Stretch(date, last, most)


def _about(
    spec: DagSpec, timetable: DagTimetable, *, is_done: bool, has_runs: bool, now: datetime
) -> str | None:
    if isinstance(timetable, NeverTimetable):
        return f"it has no schedule; `orch trigger {spec.dag_id}` makes a run by hand"
    if timetable.follows_end:
        return "each run begins when the one before has ended, so there are no dates to list"
    if isinstance(timetable, OnceTimetable) and not has_runs:
        return _about_once(timetable, is_done=is_done)
    if has_runs:
        return None
    if spec.end_date is not None and spec.end_date < now:
        return f"its schedule ended with end_date {spec.end_date.isoformat()}"
    return "its schedule makes no run there"


def _about_once(timetable: OnceTimetable, *, is_done: bool) -> str:
    if is_done:
        return "it runs once, and has had its run"
    if timetable.start is None:
        return "it runs once, as soon as a scheduler sees it"
    return f"it runs once, for {timetable.start.isoformat()}, which is not in this stretch"
