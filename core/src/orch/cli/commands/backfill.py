"""`orch backfill`: fill dates of the past with runs, and watch over that."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, TypeVar

import click

from orch.app.home import is_served
from orch.app.reader import live_roles, open_reader
from orch.app.services import open_store, services_of, timetables_of
from orch.cli import backfill_output
from orch.cli.backfill_output import BackfillView
from orch.cli.completing import dag_ids
from orch.cli.inputs import day_or_moment, json_object
from orch.cli.output import Output, cell_text, counted
from orch.cli.prepare import prepare
from orch.cli.site import json_option, with_settings
from orch.clock import isoformat, system_clock
from orch.domain.backfills import BACKFILL_ENDED, BackfillState, Reprocess, remaining_dates
from orch.operations import backfill as operations
from orch.operations import backfill_plan
from orch.operations.actor import Actor, local_actor
from orch.operations.backfill import BackfillChanged, BackfillCreated
from orch.operations.backfill_plan import DEFAULT_ACTIVE, MOST_ACTIVE, BackfillRequest
from orch.operations.perform import Services
from orch.settings import Settings
from orch.store.engine import Store
from orch.store.queries import backfill_dates, backfills, reading
from orch.store.queries.backfills import BackfillRow
from orch.store.reader import ReadTx

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@click.group()
def backfill() -> None:
    """Fill dates of the past with runs, and watch over that."""


def _request_options(command: Decorated) -> Decorated:
    """Add what a request consists of; the command gets it as keyword arguments of `_request`."""
    options = (
        click.argument("dag_id", metavar="DAG", shell_complete=dag_ids),
        click.option(
            "--from",
            "first",
            metavar="DATE",
            callback=day_or_moment,
            required=True,
            help="First logical date, included; a day means its first moment.",
        ),
        click.option(
            "--to",
            "last",
            metavar="DATE",
            callback=day_or_moment,
            required=True,
            help="Last logical date, included; a day means its last moment.",
        ),
        click.option("--backwards", is_flag=True, help="Begin with the latest date."),
        click.option(
            "--reprocess",
            type=click.Choice([each.value for each in Reprocess]),
            default=Reprocess.NONE.value,
            show_default=True,
            help="Which dates that have runs get another one: none, those that failed, all that have ended.",
        ),
        click.option(
            "--max-active",
            type=int,
            metavar="N",
            default=DEFAULT_ACTIVE,
            show_default=True,
            help=f"Most runs of it at once, 1 to {MOST_ACTIVE}; the limit of the DAG does not count them.",
        ),
        click.option(
            "--conf", metavar="JSON", callback=json_object, default="{}", help="An object for the tasks."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@backfill.command()
@_request_options
@click.option("--dry-run", is_flag=True, help="Only show what it would do, as `orch backfill preview` does.")
@json_option
@with_settings(dags=True)
def create(settings: Settings, *, dry_run: bool, as_json: bool, **asked: Any) -> None:
    """Create a backfill: one run for each date of the schedule in a range.

    Dates without an offset are read in the zone of the DAG. Only dates that have come are part of it. The same
    request again, while its backfill is open, gives that one instead of a second one.
    """
    request = _request(**asked)
    prepare(settings, request.dag_id)
    with open_store(settings) as store:
        if dry_run:
            _preview(settings, store, request, as_json=as_json)
            return
        result = operations.create(services_of(settings, store), local_actor(), request)
        _tell_created(store, result, as_json=as_json)
        _note_obstacles(settings, store, result.backfill)


@backfill.command()
@_request_options
@json_option
@with_settings(dags=True)
def preview(settings: Settings, *, as_json: bool, **asked: Any) -> None:
    """Show what creating a backfill would do with each date now; nothing is written."""
    request = _request(**asked)
    prepare(settings, request.dag_id)
    with open_store(settings) as store:
        _preview(settings, store, request, as_json=as_json)


@backfill.command("list")
@click.argument("dag_id", metavar="[DAG]", required=False, shell_complete=dag_ids)
@click.option("--all", "with_ended", is_flag=True, help="Also those that have ended.")
@json_option
@with_settings()
def list_(settings: Settings, dag_id: str | None, *, with_ended: bool, as_json: bool) -> None:
    """List the backfills, newest first."""
    with open_reader(settings) as reader, reader.read() as tx:
        dag_pk = None if dag_id is None else reading.find_dag(tx, dag_id).dag_pk
        views = [_view(tx, row) for row in backfills.listed(tx, dag_pk, with_ended=with_ended)]
    output = Output()
    if as_json:
        output.json([backfill_output.as_document(view) for view in views])
    elif views:
        output.table(backfill_output.COLUMNS, [backfill_output.row_cells(view) for view in views])
    else:
        output.line(
            "there is no backfill" if with_ended else "no backfill is open; --all lists the others too"
        )


@backfill.command()
@click.argument("backfill_id", metavar="ID", type=int)
@click.option("--dates", "with_dates", is_flag=True, help="List each date with what became of it.")
@json_option
@with_settings()
def show(settings: Settings, backfill_id: int, *, with_dates: bool, as_json: bool) -> None:
    """Show how far a backfill has come."""
    with open_reader(settings) as reader, reader.read() as tx:
        view = _view(tx, operations.find(tx, backfill_id))
        dag = reading.find_dag(tx, view.row.dag_id)
        dealt = backfill_dates.dealt_with(tx, backfill_id) if with_dates else []
        to_come = _to_come(settings, tx, view.row) if with_dates else []
    output = Output()
    if as_json:
        document = backfill_output.as_document(view)
        if with_dates:
            document["each_date"] = backfill_output.date_documents(dealt, to_come)
        output.json(document)
        return
    output.line(backfill_output.headline(view.row, system_clock(), output))
    for line in (backfill_output.span_line(view.row), *backfill_output.progress_lines(view, output)):
        output.line(f"  {line}")
    if dag.is_paused and view.row.state not in BACKFILL_ENDED:
        output.line(f"  it waits: DAG {dag.dag_id} is paused; let it go on with `orch unpause {dag.dag_id}`")
    if with_dates:
        output.table(
            ("logical date", "outcome", "run_id", "state"), backfill_output.date_rows(dealt, to_come)
        )


@backfill.command()
@click.argument("backfill_id", metavar="ID", type=int)
@json_option
@with_settings()
def pause(settings: Settings, backfill_id: int, *, as_json: bool) -> None:
    """Let a backfill make and start no run; what has started goes on."""

    def words(result: BackfillChanged) -> str:
        if not result.changed:
            return "was paused already"
        goes_on = f"; {_going_on(result.running_runs)}" if result.running_runs else ""
        return f"is paused{goes_on}"

    _change(settings, backfill_id, operations.pause, words, as_json=as_json)


@backfill.command()
@click.argument("backfill_id", metavar="ID", type=int)
@json_option
@with_settings()
def resume(settings: Settings, backfill_id: int, *, as_json: bool) -> None:
    """Let a paused backfill go on."""

    def words(result: BackfillChanged) -> str:
        return "goes on" if result.changed else "was not paused"

    _change(settings, backfill_id, operations.resume, words, as_json=as_json)


@backfill.command()
@click.argument("backfill_id", metavar="ID", type=int)
@json_option
@with_settings()
def cancel(settings: Settings, backfill_id: int, *, as_json: bool) -> None:
    """End a backfill: its queued runs are cancelled, those that have started go on to their end."""

    def words(result: BackfillChanged) -> str:
        if not result.changed:
            return "was cancelled already"
        queued = (
            f"; {counted(result.cancelled_runs, 'queued run')} cancelled" if result.cancelled_runs else ""
        )
        return f"is cancelled{queued}; {_going_on(result.running_runs)}"

    _change(settings, backfill_id, operations.cancel, words, as_json=as_json)


def _request(
    *,
    dag_id: str,
    first: date | datetime,
    last: date | datetime,
    backwards: bool,
    reprocess: str,
    max_active: int,
    conf: dict[str, Any],
) -> BackfillRequest:
    return BackfillRequest(dag_id, first, last, backwards, reprocess, max_active, conf)


def _preview(settings: Settings, store: Store, request: BackfillRequest, *, as_json: bool) -> None:
    with store.read() as tx:
        result = backfill_plan.preview(tx, request, timetables_of(settings))
    output = Output()
    if as_json:
        output.json(backfill_output.preview_document(result))
        return
    for line in backfill_output.preview_lines(result, output):
        output.line(line)
    _note_not_yet(output, result.not_yet)
    if result.in_the_way:
        output.note(f"it would not be created now: {result.in_the_way}")


def _tell_created(store: Store, result: BackfillCreated, *, as_json: bool) -> None:
    output = Output()
    row = result.backfill
    if as_json:
        with store.read() as tx:
            document = backfill_output.as_document(_view(tx, row))
        output.json({**document, "created": result.created, "not_yet": isoformat(result.not_yet)})
        return
    output.line(f"backfill {row.backfill_id} of {row.dag_id}: {backfill_output.span_line(row)}")
    if not result.created:
        output.line(f"an equal request made it at {cell_text(row.created_at)}; it is {row.state}")
    _note_not_yet(output, result.not_yet)


def _note_not_yet(output: Output, not_yet: datetime | None) -> None:
    if not_yet is not None:
        output.note(f"only dates that have come are part of it; {cell_text(not_yet)} and later ones are not")


def _note_obstacles(settings: Settings, store: Store, row: BackfillRow) -> None:
    """Say on stderr what keeps it from making runs soon."""
    with store.read() as tx:
        dag = reading.find_dag(tx, row.dag_id)
    if row.state is BackfillState.PAUSED:
        Output().note(f"it is paused; let it go on with `orch backfill resume {row.backfill_id}`")
    if dag.is_paused:
        Output().note(f"DAG {dag.dag_id!r} is paused; the backfill waits for `orch unpause {dag.dag_id}`")
    elif not is_served(settings) and "scheduler" not in live_roles(store):
        Output().note("no scheduler is running; the backfill waits for `orch up`")


def _change(
    settings: Settings,
    backfill_id: int,
    operation: Callable[[Services, Actor, int], BackfillChanged],
    words: Callable[[BackfillChanged], str],
    *,
    as_json: bool,
) -> None:
    with open_store(settings) as store:
        result = operation(services_of(settings, store), local_actor(), backfill_id)
        with store.read() as tx:
            view = _view(tx, result.backfill)
    output = Output()
    if as_json:
        document = backfill_output.as_document(view)
        more = {"changed": result.changed, "cancelled_runs": result.cancelled_runs}
        output.json({**document, **more, "running_runs": result.running_runs})
    else:
        output.line(f"backfill {backfill_id} of {result.backfill.dag_id} {words(result)}")


def _going_on(running: int) -> str:
    if not running:
        return "no run of it is running"
    return f"{counted(running, 'running run')} {'goes' if running == 1 else 'go'} on to the end"


def _view(tx: ReadTx, row: BackfillRow) -> BackfillView:
    return BackfillView(row, backfill_dates.progress(tx, row.backfill_id))


def _to_come(settings: Settings, tx: ReadTx, row: BackfillRow) -> list[datetime]:
    """Return the dates that have not had their turn; none of a backfill that has ended."""
    if row.state in BACKFILL_ENDED:
        return []
    timetable = timetables_of(settings)(reading.spec_of(tx, row.dag_version_id))
    dates = remaining_dates(timetable, row.span, row.position, backwards=row.backwards)
    return [each.logical_date for each in dates]
