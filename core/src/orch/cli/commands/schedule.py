"""`orch schedule`: which runs the schedule of a DAG makes."""

from collections.abc import Iterator
from datetime import date, datetime, tzinfo
from typing import Any

import click

from orch.app.reader import open_reader
from orch.app.services import timetables_of
from orch.cli.completing import dag_ids
from orch.cli.inputs import day_or_moment
from orch.cli.output import Output, counted
from orch.cli.prepare import prepare
from orch.cli.site import json_option, with_settings
from orch.clock import isoformat
from orch.domain.preview import PlannedRun, WithoutRun
from orch.domain.zones import find_zone
from orch.operations.schedule import (
    DEFAULT_RUNS,
    MOST_RUNS,
    ScheduleAnswer,
    ScheduleQuestion,
    preview_schedule,
)
from orch.settings import Settings

WEEK_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
"""In English whatever the locale, and faster than strftime for very many."""


def _bound(ctx: click.Context, param: click.Parameter, value: str | None) -> date | datetime | None:
    return None if value is None else day_or_moment(ctx, param, value)


@click.group()
def schedule() -> None:
    """Show which runs a schedule makes."""


@schedule.command("preview")
@click.argument("dag_id", metavar="DAG", shell_complete=dag_ids)
@click.option(
    "--from", "first", metavar="ISO", callback=_bound, help="First logical date, included [the next run]."
)
@click.option(
    "--to", "last", metavar="ISO", callback=_bound, help="Last logical date, included; a day means its end."
)
@click.option(
    "-n", type=int, metavar="N", help=f"How many runs, at most {MOST_RUNS} [{DEFAULT_RUNS}; all with --to]."
)
@json_option
@with_settings(dags=True)
def preview_(
    settings: Settings,
    dag_id: str,
    *,
    first: date | datetime | None,
    last: date | datetime | None,
    n: int | None,
    as_json: bool,
) -> None:
    """List the runs to come, with what clock changes do to them.

    Without --from they are those due from now on. Dates without an offset are read on the clock of the DAG's zone.
    """
    question = ScheduleQuestion(dag_id, first, last, n)
    prepare(settings, dag_id)
    with open_reader(settings) as reader, reader.read() as tx:
        answer = preview_schedule(tx, question, timetables_of(settings))
    output = Output()
    if as_json:
        output.json(as_document(answer))
    else:
        output.line("\n".join(lines(answer)))


def as_document(answer: ScheduleAnswer) -> dict[str, Any]:
    """Return a preview as `--json` prints it."""
    spec, zone = answer.spec, find_zone(answer.spec.timezone)
    return {
        "dag_id": answer.dag_id,
        "schedule": spec.schedule,
        "timezone": spec.timezone,
        "dst": spec.dst,
        "runs": [_run_document(run, zone) for run in answer.runs.runs],
        "without_run": [
            {
                "changed_at": isoformat(lost.changed_at),
                "first": lost.first.isoformat(),
                "last": lost.last.isoformat(),
                "why": lost.why,
            }
            for lost in answer.runs.without_run
        ],
        "is_cut": answer.is_cut,
        "remarks": list(answer.remarks),
    }


def lines(answer: ScheduleAnswer) -> Iterator[str]:
    """Yield what a person reads: a head, a line for each run in the order of time, and remarks."""
    spec, zone = answer.spec, find_zone(answer.spec.timezone)
    if spec.schedule is not None:
        yield f"{answer.dag_id}: {spec.schedule} in zone {spec.timezone}, clock changes by the rule {spec.dst}"
    lost = list(answer.runs.without_run)
    for run in answer.runs.runs:
        while lost and lost[0].changed_at <= run.tick:
            yield _lost_line(lost.pop(0))
        yield _run_line(run, zone)
    yield from map(_lost_line, lost)
    if answer.is_cut:
        yield f"{counted(len(answer.runs.runs), 'run')} shown; there may be more"
    for remark in answer.remarks:
        yield f"{answer.dag_id}: {remark}"


def _run_document(run: PlannedRun, zone: tzinfo) -> dict[str, Any]:
    local = run.logical_date.astimezone(zone)
    return {
        "logical_date": isoformat(run.logical_date),
        "local": local.isoformat(),
        "weekday": WEEK_DAYS[local.weekday()],
        "run_after": isoformat(run.run_after),
        "data_interval_start": isoformat(run.interval_start),
        "data_interval_end": isoformat(run.interval_end),
        "mark": run.mark,
    }


def _run_line(run: PlannedRun, zone: tzinfo) -> str:
    line = _shown(run.logical_date, zone)
    if run.interval_start != run.logical_date:
        line += f"  data from {_shown(run.interval_start, zone)}"
    if run.interval_end != run.interval_start:
        line += f" to {_shown(run.interval_end, zone)}"
    if run.run_after != run.interval_end:
        line += f"  runs at {_shown(run.run_after, zone)}"
    return line if run.mark is None else f"{line}  {run.mark}"


def _shown(moment: datetime, zone: tzinfo) -> str:
    local = moment.astimezone(zone)
    return f"{WEEK_DAYS[local.weekday()]} {local.isoformat(' ', 'seconds')}"


def _lost_line(lost: WithoutRun) -> str:
    span = f"{WEEK_DAYS[lost.first.weekday()]} {lost.first.isoformat(' ')}"
    if lost.last != lost.first:
        span += f" to {lost.last.isoformat(' ')}"
    return f"{span}  no run: {lost.why}"
