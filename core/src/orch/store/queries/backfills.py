"""Backfills: one row per request to fill a span of dates, and the only place that writes its state."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orch.clock import from_micros, to_micros
from orch.domain.backfills import BACKFILL_ENDED, BackfillState, Reprocess
from orch.store.engine import Tx
from orch.store.queries.reading import moment
from orch.store.reader import ReadTx


@dataclass(frozen=True, slots=True)
class NewBackfill:
    """A backfill to be made; `first` and `last` are dates of the schedule of that version."""

    dag_pk: int
    dag_id: str
    dag_version_id: int
    first: datetime
    last: datetime
    backwards: bool
    reprocess: Reprocess
    max_active_runs: int
    conf: Mapping[str, Any]
    body_hash: str
    dates: int
    created_by: str


@dataclass(frozen=True, slots=True)
class BackfillRow:
    """One backfill."""

    backfill_id: int
    dag_pk: int
    dag_id: str
    dag_version_id: int
    state: BackfillState
    state_since: datetime
    first: datetime
    last: datetime
    backwards: bool
    reprocess: Reprocess
    max_active_runs: int
    conf: Mapping[str, Any]
    dates: int
    position: datetime | None
    """The date dealt with last."""
    created_by: str
    created_at: datetime
    ended_at: datetime | None

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Its first and its last date, in the order of time."""
        return self.first, self.last

    @property
    def is_exhausted(self) -> bool:
        """Whether all dates are dealt with."""
        return self.position == (self.first if self.backwards else self.last)


def insert(tx: Tx, new: NewBackfill) -> BackfillRow:
    """Store a backfill that runs from now on."""
    ((backfill_id,),) = tx.rows(
        """
        INSERT INTO backfill (dag_pk, dag_id, dag_version_id, state, state_since, from_date, to_date, run_backwards,
          reprocess, max_active_runs, conf, body_hash, dates, created_by, created_at)
        VALUES (?, ?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id
        """,
        (new.dag_pk, new.dag_id, new.dag_version_id, tx.now, to_micros(new.first), to_micros(new.last),
         new.backwards, new.reprocess, new.max_active_runs, json.dumps(dict(new.conf), sort_keys=True),
         new.body_hash, new.dates, new.created_by, tx.now),
    )  # fmt: skip
    (row,) = _rows(tx, "WHERE id = ?", backfill_id)
    return row


def find(tx: ReadTx, backfill_id: int) -> BackfillRow | None:
    """Return one backfill, None when there is none of this id."""
    return next(iter(_rows(tx, "WHERE id = ?", backfill_id)), None)


def listed(tx: ReadTx, dag_pk: int | None, *, with_ended: bool) -> list[BackfillRow]:
    """Return the backfills of one DAG or of all, newest first; those that have ended only when asked for."""
    clauses = "WHERE (? OR ended_at IS NULL) AND dag_pk = COALESCE(?, dag_pk) ORDER BY id DESC"
    return _rows(tx, clauses, with_ended, dag_pk)


def newest_id(tx: ReadTx) -> int | None:
    """Return the id of the newest backfill."""
    ((backfill_id,),) = tx.rows("SELECT MAX(id) FROM backfill")
    found: int | None = backfill_id
    return found


def open_with(tx: ReadTx, dag_pk: int, body_hash: str) -> BackfillRow | None:
    """Return the open backfill that an equal request has made."""
    clauses = "WHERE ended_at IS NULL AND dag_pk = ? AND body_hash = ? ORDER BY id"
    return next(iter(_rows(tx, clauses, dag_pk, body_hash)), None)


def open_across(tx: ReadTx, dag_pk: int, first: datetime, last: datetime) -> BackfillRow | None:
    """Return an open backfill of a DAG that shares a part of this span."""
    clauses = "WHERE ended_at IS NULL AND dag_pk = ? AND from_date <= ? AND to_date >= ? ORDER BY id"
    return next(iter(_rows(tx, clauses, dag_pk, to_micros(last), to_micros(first))), None)


def due(tx: Tx) -> list[int]:
    """Return the backfills that have something to do: room for another run, or nothing left at all.

    None makes a run of a paused or missing DAG, or of one whose file cannot be imported now and was never stored.
    """
    rows = tx.rows(
        f"""
        SELECT b.id FROM backfill b JOIN dag d ON d.id = b.dag_pk
        WHERE b.ended_at IS NULL AND CASE
          WHEN b.position IS (CASE WHEN b.run_backwards THEN b.from_date ELSE b.to_date END) THEN {_OPEN_RUNS} = 0
          ELSE b.state = 'running' AND NOT d.is_paused AND NOT d.is_missing
            AND (d.bundle_id IS NOT NULL OR d.file NOT IN (SELECT path FROM import_error))
            AND {_OPEN_RUNS} < b.max_active_runs END
        ORDER BY b.id
        """
    )
    return [backfill_id for (backfill_id,) in rows]


_OPEN_RUNS = """(SELECT COUNT(*) FROM dag_run o WHERE o.dag_pk = b.dag_pk AND o.state IN ('queued', 'running')
  AND o.run_type = 'backfill' AND o.backfill_id = b.id)"""
"""Served by ix_dag_run_open_of_dag."""


def open_runs(tx: ReadTx, backfill_id: int) -> int:
    """Return how many runs of a backfill have not ended."""
    ((count,),) = tx.rows(f"SELECT {_OPEN_RUNS} FROM backfill b WHERE b.id = ?", (backfill_id,))
    return int(count)


def set_position(tx: Tx, backfill_id: int, position: datetime) -> None:
    """Note the date dealt with last."""
    tx.many("UPDATE backfill SET position = ? WHERE id = ?", [(to_micros(position), backfill_id)])


def move(tx: Tx, row: BackfillRow, new: BackfillState) -> bool:
    """Move a backfill that still is in the state it was read in; return whether it moved."""
    ended_at = tx.now if new in BACKFILL_ENDED else None
    sql = "UPDATE backfill SET state = ?, state_since = ?, ended_at = ? WHERE id = ? AND state = ?"
    return tx.many(sql, [(new, tx.now, ended_at, row.backfill_id, row.state)]) == 1


_COLUMNS = (
    "id, dag_pk, dag_id, dag_version_id, state, state_since, from_date, to_date, run_backwards, reprocess,"
    " max_active_runs, conf, dates, position, created_by, created_at, ended_at"
)


def _rows(tx: ReadTx, clauses: str, *parameters: object) -> list[BackfillRow]:
    found = tx.rows(f"SELECT {_COLUMNS} FROM backfill {clauses}", parameters)
    return [_row(values) for values in found]


def _row(values: Sequence[Any]) -> BackfillRow:
    backfill_id, dag_pk, dag_id, version_id, state, since, first, last, backwards, reprocess, *rest = values
    max_active_runs, conf, dates, position, created_by, created_at, ended_at = rest
    return BackfillRow(
        backfill_id=backfill_id,
        dag_pk=dag_pk,
        dag_id=dag_id,
        dag_version_id=version_id,
        state=BackfillState(state),
        state_since=from_micros(since),
        first=from_micros(first),
        last=from_micros(last),
        backwards=bool(backwards),
        reprocess=Reprocess(reprocess),
        max_active_runs=max_active_runs,
        conf=json.loads(conf),
        dates=dates,
        position=moment(position),
        created_by=created_by,
        created_at=from_micros(created_at),
        ended_at=moment(ended_at),
    )
