"""Trigger: make a run of a DAG by hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orch.clock import from_micros
from orch.domain import states
from orch.domain.dagspec import DagSpec
from orch.domain.timetables import DagTimetable
from orch.domain.zones import find_zone
from orch.errors import BadInput, Conflict
from orch.ids import check_run_id
from orch.operations.actor import Actor
from orch.operations.conf import check_conf, check_text
from orch.operations.logical_date import check_logical_date
from orch.operations.perform import Done, Order, Services, perform
from orch.store.engine import Tx
from orch.store.queries import reading
from orch.store.queries.run_creation import CreatedRun, NewRun, create_run
from orch.store.queries.run_creation import find_dag as find_current
from orch.store.queries.transitions import By


@dataclass(frozen=True, slots=True)
class TriggerRequest:
    """The run that somebody wants."""

    dag_id: str
    run_id: str | None = None
    """None lets orch name it after the time."""
    conf: Mapping[str, Any] = field(default_factory=dict)
    logical_date: datetime | None = None
    """Without an offset it is read in the zone of the DAG."""
    idempotency_key: str | None = None
    note: str | None = None


def trigger(services: Services, actor: Actor, request: TriggerRequest) -> CreatedRun:
    """Create one manual run and its task instances, or return the run of an equal request with the same key.

    Raises BadInput for a request that later readers could not read, NotFound for an unknown DAG, Conflict for
    a taken run id, a key that made another run, or a DAG whose file is gone.
    """
    _check(request)
    order = Order(actor, "dag.trigger", request.dag_id, "create_run")
    return perform(services, order, lambda tx: _trigger(tx, services, actor, request))


def near_dates(tx: Tx, run: CreatedRun, timetable_of: Callable[[DagSpec], DagTimetable]) -> tuple[str, ...]:
    """Return the dates of the schedule next to the logical date of a run that stands for none of them.

    Nothing when it stands for one, or has no logical date, or the schedule no dates.
    """
    date = reading.find_run(tx, run.dag_id, run.run_id).logical_date
    dag = find_current(tx, run.dag_id)
    if date is None or dag is None or dag.spec.schedule is None:
        return ()
    timetable = timetable_of(dag.spec)
    ticks = () if timetable.follows_end else (timetable.latest(date), timetable.next_after(date))
    dates = {timetable.logical_date(tick) for tick in ticks if tick is not None}
    zone = find_zone(dag.spec.timezone)
    return () if date in dates else tuple(each.astimezone(zone).isoformat() for each in sorted(dates))


def _check(request: TriggerRequest) -> None:
    """What is stored is read again and again by every scheduler and worker; nothing may be wrong with it then."""
    if request.run_id is not None:
        check_run_id(request.run_id)
    if request.logical_date is not None and request.logical_date.tzinfo is not None:
        check_logical_date(request.logical_date)
    check_conf(request.conf)
    texts = {"DAG id": request.dag_id, "idempotency key": request.idempotency_key, "note": request.note}
    for name, text in texts.items():
        check_text(f"{name} {ascii(text)[:60]}", text or "")


def _trigger(tx: Tx, services: Services, actor: Actor, request: TriggerRequest) -> Done[CreatedRun]:
    row = reading.find_dag(tx, request.dag_id)
    dag = find_current(tx, request.dag_id)
    if row.is_missing or dag is None:
        raise Conflict(f"DAG {request.dag_id!r} is gone: {row.file} has it no more; put it back to run it")
    if row.import_error is not None and dag.bundle_id is None:
        raise BadInput(
            f"DAG {request.dag_id!r}: {row.file} cannot be imported now ({row.import_error});"
            " no version of it is stored and its tasks would fail, so mend the file first"
        )
    now = from_micros(tx.now)
    date = _in_zone(request.logical_date, dag.spec.timezone)
    new = NewRun(
        dag_id=request.dag_id,
        run_id=request.run_id or f"manual__{now.isoformat(timespec='microseconds')}",
        run_type="manual",
        run_after=now,
        logical_date=date,
        data_interval=None if date is None else (date, date),
        conf=request.conf,
        idem_key=request.idempotency_key,
        triggered_by=actor.name,
        note=request.note,
    )
    by = By(states.Actor.OPERATOR, actor.name)
    run = create_run(tx, dag, new, default_executor=services.default_executor, by=by)
    detail = {"run_id": run.run_id, "created": run.created, "conf_keys": sorted(request.conf)}
    return Done(run, detail)


def _in_zone(date: datetime | None, zone: str) -> datetime | None:
    if date is None or date.tzinfo is not None:
        return date
    return check_logical_date(date.replace(tzinfo=find_zone(zone)))
