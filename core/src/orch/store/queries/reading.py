"""Reads for people and programs: dags, their runs and import errors, as plain frozen values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orch.clock import from_micros
from orch.domain.timetables import timetable_of
from orch.errors import NotFound, nearest
from orch.store.engine import Tx
from orch.store.queries.cursors import UNKNOWN
from orch.store.queries.runs import spec_of_version
from orch.store.tables import dag, dag_run, import_error, schedule_cursor


@dataclass(frozen=True, slots=True)
class DagRow:
    """One DAG as it is registered."""

    dag_pk: int
    dag_id: str
    file: str
    description: str
    schedule: str | None
    tags: tuple[str, ...]
    is_paused: bool
    is_missing: bool
    next_run_at: datetime | None
    import_error: str | None
    """One line on why the newest text of its file cannot be imported."""
    current_version_id: int | None


@dataclass(frozen=True, slots=True)
class RunRow:
    """One dag run."""

    run_pk: int
    dag_id: str
    run_id: str
    run_type: str
    state: str
    reason: str | None
    dag_version_id: int
    logical_date: datetime | None
    run_after: datetime
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    conf: Mapping[str, Any]
    triggered_by: str


@dataclass(frozen=True, slots=True)
class ImportErrorRow:
    """A DAG file that cannot be imported as it is now."""

    path: str
    line: int | None
    message: str
    created_at: datetime


def list_dags(tx: Tx, *, with_missing: bool = False) -> list[DagRow]:
    """Return the DAGs by name; those whose file is gone only when asked for."""
    statement = _DAGS.order_by(dag.c.dag_id)
    if not with_missing:
        statement = statement.where(~dag.c.is_missing)
    errors = _errors_by_file(tx)
    return [_dag_row(tx, row, errors) for row in tx.conn.execute(statement).all()]


def find_dag(tx: Tx, dag_id: str) -> DagRow:
    """Return one DAG, missing or not; an unknown one is a NotFound that offers the nearest name."""
    row = tx.conn.execute(_DAGS.where(dag.c.dag_id == dag_id)).one_or_none()
    if row is None:
        known = tx.conn.execute(sa.select(dag.c.dag_id)).scalars()
        hint = nearest(dag_id, known) or "; `orch list-dags` shows the known ones"
        raise NotFound(f"unknown DAG {dag_id!r}{hint}")
    return _dag_row(tx, row, _errors_by_file(tx))


def list_runs(tx: Tx, dag_id: str, limit: int | None = None) -> list[RunRow]:
    """Return the runs of a DAG, newest created first."""
    statement = _RUNS.where(dag_run.c.dag_pk == find_dag(tx, dag_id).dag_pk).order_by(*_NEWEST).limit(limit)
    return [_run_row(row) for row in tx.conn.execute(statement)]


def find_run(tx: Tx, dag_id: str, run_id: str | None = None) -> RunRow:
    """Return the named run of a DAG, or its newest one; NotFound offers the nearest run id."""
    found = find_dag(tx, dag_id)
    statement = _RUNS.where(dag_run.c.dag_pk == found.dag_pk).order_by(*_NEWEST).limit(1)
    if run_id is not None:
        statement = statement.where(dag_run.c.run_id == run_id)
    row = tx.conn.execute(statement).one_or_none()
    if row is not None:
        return _run_row(row)
    if run_id is None:
        raise NotFound(f"DAG {dag_id!r} has no run yet; create one with `orch trigger {dag_id}`")
    recent = sa.select(dag_run.c.run_id).where(dag_run.c.dag_pk == found.dag_pk)
    known = tx.conn.execute(recent.order_by(*_NEWEST).limit(1000)).scalars()
    hint = nearest(run_id, known) or f"; `orch list-runs {dag_id}` shows its runs"
    raise NotFound(f"DAG {dag_id!r} has no run {run_id!r}{hint}")


def run_by_pk(tx: Tx, run_pk: int) -> RunRow:
    """Return the run of this key, which must be there."""
    return _run_row(tx.conn.execute(_RUNS.where(dag_run.c.id == run_pk)).one())


def import_errors(tx: Tx) -> list[ImportErrorRow]:
    """Return the files that cannot be imported as they are now, by path."""
    statement = sa.select(import_error).order_by(import_error.c.path, import_error.c.id)
    return [
        ImportErrorRow(row.path, row.line, row.message, from_micros(row.created_at))
        for row in tx.conn.execute(statement)
    ]


_NEWEST = (dag_run.c.created_at.desc(), dag_run.c.id.desc())
"""Served by ix_dag_run_dag_pk_created_at."""

_DAGS = sa.select(dag, schedule_cursor.c.last_tick_at, schedule_cursor.c.next_tick_at).join(
    schedule_cursor, schedule_cursor.c.dag_pk == dag.c.id, isouter=True
)
_RUNS = sa.select(dag_run)


def _dag_row(tx: Tx, row: Any, errors: Mapping[str, str]) -> DagRow:
    return DagRow(
        dag_pk=row.id,
        dag_id=row.dag_id,
        file=row.file,
        description=row.description,
        schedule=row.schedule,
        tags=tuple(json.loads(row.tags)),
        is_paused=row.is_paused,
        is_missing=row.is_missing,
        next_run_at=_next_run_at(tx, row),
        import_error=errors.get(row.file),
        current_version_id=row.current_version_id,
    )


def _next_run_at(tx: Tx, row: Any) -> datetime | None:
    """The cursor's next tick; what it will be when no scheduler has looked at the schedule yet."""
    if row.next_tick_at != UNKNOWN or row.current_version_id is None:
        return moment(row.next_tick_at)
    spec = spec_of_version(tx, row.current_version_id)
    return timetable_of(spec).first(from_micros(tx.now), moment(row.last_tick_at), catchup=spec.catchup)


def _run_row(row: Any) -> RunRow:
    return RunRow(
        run_pk=row.id,
        dag_id=row.dag_id,
        run_id=row.run_id,
        run_type=row.run_type,
        state=row.state,
        reason=row.reason,
        dag_version_id=row.dag_version_id,
        logical_date=moment(row.logical_date),
        run_after=from_micros(row.run_after),
        created_at=from_micros(row.created_at),
        started_at=moment(row.started_at),
        ended_at=moment(row.ended_at),
        conf=json.loads(row.conf),
        triggered_by=row.triggered_by,
    )


def _errors_by_file(tx: Tx) -> dict[str, str]:
    return {error.path: _one_line(error) for error in import_errors(tx)}


def _one_line(error: ImportErrorRow) -> str:
    where = f"{error.path}:{error.line}" if error.line else error.path
    return f"{where}: {error.message}"


def moment(micros: int | None) -> datetime | None:
    """Return the time of stored microseconds; None stays None."""
    return None if micros is None else from_micros(micros)
