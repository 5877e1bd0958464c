"""Reads for people and programs: dags, their runs and import errors, as plain frozen values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orch.clock import from_micros
from orch.domain.dagspec import DagSpec
from orch.domain.jitter import offset_of
from orch.domain.timetables import timetable_of
from orch.errors import NotFound, OrchError, nearest
from orch.store.reader import ReadTx


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
    """When its next scheduled run may begin, jitter included."""
    import_error: str | None
    """One line on why the newest text of its file cannot be imported."""
    current_version_id: int | None
    follows_open_run: bool = False
    """Its next scheduled run begins when the one that is open now has ended."""


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
    backfill_id: int | None = None


@dataclass(frozen=True, slots=True)
class ImportErrorRow:
    """A DAG file that cannot be imported as it is now."""

    path: str
    line: int | None
    message: str
    created_at: datetime


def list_dags(tx: ReadTx, *, with_missing: bool = False) -> list[DagRow]:
    """Return the DAGs by name; those whose file is gone only when asked for."""
    errors = _errors_by_file(tx)
    rows = tx.rows(f"{_DAGS} WHERE ? OR NOT d.is_missing ORDER BY d.dag_id", (with_missing,))
    return [_dag_row(tx, row, errors) for row in rows]


def find_dag(tx: ReadTx, dag_id: str) -> DagRow:
    """Return one DAG, missing or not; an unknown one is a NotFound that offers the nearest name."""
    rows = tx.rows(f"{_DAGS} WHERE d.dag_id = ?", (dag_id,))
    if not rows:
        known = [name for (name,) in tx.rows("SELECT dag_id FROM dag")]
        hint = nearest(dag_id, known) or "; `orch list-dags` shows the known ones"
        raise NotFound(f"unknown DAG {dag_id!r}{hint}")
    return _dag_row(tx, rows[0], _errors_by_file(tx))


def list_runs(tx: ReadTx, dag_id: str, limit: int | None = None) -> list[RunRow]:
    """Return the runs of a DAG, newest created first (served by ix_dag_run_dag_pk_created_at)."""
    dag_pk = find_dag(tx, dag_id).dag_pk
    rows = tx.rows(
        f"{_RUNS} WHERE dag_pk = ? {_NEWEST_FIRST} LIMIT ?", (dag_pk, -1 if limit is None else limit)
    )
    return [_run_row(row) for row in rows]


def find_run(tx: ReadTx, dag_id: str, run_id: str | None = None) -> RunRow:
    """Return the named run of a DAG, or its newest one; NotFound offers the nearest run id."""
    dag_pk = find_dag(tx, dag_id).dag_pk
    rows = tx.rows(
        f"{_RUNS} WHERE dag_pk = ? AND run_id = COALESCE(?, run_id) {_NEWEST_FIRST} LIMIT 1", (dag_pk, run_id)
    )
    if rows:
        return _run_row(rows[0])
    if run_id is None:
        raise NotFound(f"DAG {dag_id!r} has no run yet; create one with `orch trigger {dag_id}`")
    recent = tx.rows(f"SELECT run_id FROM dag_run WHERE dag_pk = ? {_NEWEST_FIRST} LIMIT 1000", (dag_pk,))
    hint = nearest(run_id, [name for (name,) in recent]) or f"; `orch list-runs {dag_id}` shows its runs"
    raise NotFound(f"DAG {dag_id!r} has no run {run_id!r}{hint}")


def run_by_pk(tx: ReadTx, run_pk: int) -> RunRow:
    """Return the run of this key, which must be there."""
    (row,) = tx.rows(f"{_RUNS} WHERE id = ?", (run_pk,))
    return _run_row(row)


def spec_of(tx: ReadTx, dag_version_id: int) -> DagSpec:
    """Return the serialised DAG of a version."""
    ((structure,),) = tx.rows("SELECT structure FROM dag_version WHERE id = ?", (dag_version_id,))
    return DagSpec.from_json(structure)


def import_errors(tx: ReadTx) -> list[ImportErrorRow]:
    """Return the files that cannot be imported as they are now, by path."""
    rows = tx.rows("SELECT path, line, message, created_at FROM import_error ORDER BY path, id")
    return [ImportErrorRow(path, line, message, from_micros(at)) for path, line, message, at in rows]


def moment(micros: int | None) -> datetime | None:
    """Return the time of stored microseconds; None stays None."""
    return None if micros is None else from_micros(micros)


_NEWEST_FIRST = "ORDER BY created_at DESC, id DESC"

_DAGS = """
SELECT d.id, d.dag_id, d.file, d.description, d.schedule, d.tags, d.is_paused, d.is_missing, d.current_version_id,
  c.last_tick_at, c.next_tick_at,
  (SELECT v.structure FROM dag_version v WHERE v.id = d.current_version_id
     AND (c.next_tick_at = 0 OR v.structure LIKE '%"jitter_seconds":%')),
  c.follows_end AND EXISTS (SELECT 1 FROM dag_run r WHERE r.dag_pk = d.id AND r.state IN ('queued', 'running')
     AND r.run_type = 'scheduled')
FROM dag d LEFT JOIN schedule_cursor c ON c.dag_pk = d.id
"""
"""The structure comes along when the next run cannot be told without it."""

_RUNS = """
SELECT id, dag_id, run_id, run_type, state, reason, dag_version_id, logical_date, run_after, created_at, started_at,
  ended_at, conf, triggered_by, backfill_id
FROM dag_run
"""

_UNKNOWN_TICK = 0
"""`cursors.UNKNOWN`, whose module needs SQLAlchemy: no scheduler has looked at the schedule yet."""


def _dag_row(tx: ReadTx, row: tuple[Any, ...], errors: Mapping[str, str]) -> DagRow:
    dag_pk, dag_id, file, description, schedule, tags, is_paused, is_missing, version_id, *rest = row
    last, following, structure, follows = rest
    return DagRow(
        dag_pk=dag_pk,
        dag_id=dag_id,
        file=file,
        description=description,
        schedule=schedule,
        tags=tuple(json.loads(tags)),
        is_paused=bool(is_paused),
        is_missing=bool(is_missing),
        next_run_at=None if follows else _next_run_at(tx, structure, last, following),
        import_error=errors.get(file),
        current_version_id=version_id,
        follows_open_run=bool(follows),
    )


def _next_run_at(
    tx: ReadTx, structure: str | None, last: int | None, following: int | None
) -> datetime | None:
    """The cursor's next tick, or what it will be when no scheduler has looked at the schedule yet; and the jitter."""
    if structure is None:
        return None if following == _UNKNOWN_TICK else moment(following)
    spec = DagSpec.from_json(structure)
    tick = moment(following)
    if following == _UNKNOWN_TICK:
        try:
            tick = timetable_of(spec).first(from_micros(tx.now), moment(last), catchup=spec.catchup)
        except OrchError:  # of a plugin, which only schedulers ask
            tick = None
    return None if tick is None else tick + offset_of(spec.dag_id, timedelta(seconds=spec.jitter_seconds))


def _run_row(row: tuple[Any, ...]) -> RunRow:
    run_pk, dag_id, run_id, run_type, state, reason, version_id, logical, after, *rest = row
    created, started, ended, conf, triggered_by, backfill_id = rest
    return RunRow(
        run_pk=run_pk,
        dag_id=dag_id,
        run_id=run_id,
        run_type=run_type,
        state=state,
        reason=reason,
        dag_version_id=version_id,
        logical_date=moment(logical),
        run_after=from_micros(after),
        created_at=from_micros(created),
        started_at=moment(started),
        ended_at=moment(ended),
        conf=json.loads(conf),
        triggered_by=triggered_by,
        backfill_id=backfill_id,
    )


def _errors_by_file(tx: ReadTx) -> dict[str, str]:
    return {error.path: _one_line(error) for error in import_errors(tx)}


def _one_line(error: ImportErrorRow) -> str:
    where = f"{error.path}:{error.line}" if error.line else error.path
    return f"{where}: {error.message}"
