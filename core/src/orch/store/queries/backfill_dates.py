"""Dates of backfills: what became of each one, and the runs that stand for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orch.clock import from_micros, to_micros
from orch.domain.backfills import Outcome
from orch.domain.states import RunState
from orch.store.engine import Tx
from orch.store.queries.runs import RUN_COLUMNS, RunRow, run_row
from orch.store.reader import ReadTx


@dataclass(frozen=True, slots=True)
class NewestRun:
    """The newest run of one date."""

    run_pk: int
    run_id: str
    state: RunState


@dataclass(frozen=True, slots=True)
class DealtDate:
    """A date that a backfill has dealt with; `run_id` made by it, or the one that stood in the way."""

    logical_date: datetime
    outcome: Outcome
    run_id: str | None
    run_state: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backfill has come."""

    outcomes: dict[Outcome, int] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    """Its own runs by state."""

    @property
    def dealt_with(self) -> int:
        """Return how many dates had their turn."""
        return sum(self.outcomes.values())


def newest_run(tx: ReadTx, dag_pk: int, logical_date: datetime) -> NewestRun | None:
    """Return the run of a date that was made last, of any type (served by ix_dag_run_order)."""
    date = to_micros(logical_date)
    rows = tx.rows(
        "SELECT id, run_id, state FROM dag_run WHERE dag_pk = ? AND COALESCE(logical_date, run_after) = ?"
        " AND logical_date = ? ORDER BY id DESC LIMIT 1",
        (dag_pk, date, date),
    )
    return NewestRun(rows[0][0], rows[0][1], RunState(rows[0][2])) if rows else None


def note(tx: Tx, backfill_id: int, dealt: Sequence[tuple[datetime, Outcome, int | None]]) -> None:
    """Write what became of dates: (logical date, outcome, run made or in the way)."""
    tx.many(
        "INSERT INTO backfill_date (backfill_id, logical_date, outcome, run_pk, at) VALUES (?, ?, ?, ?, ?)",
        [(backfill_id, to_micros(date), outcome, run_pk, tx.now) for date, outcome, run_pk in dealt],
    )


def progress(tx: ReadTx, backfill_id: int) -> Progress:
    """Count the dates dealt with by outcome and the backfill's runs by state."""
    outcomes = tx.rows(
        "SELECT outcome, COUNT(*) FROM backfill_date WHERE backfill_id = ? GROUP BY outcome", (backfill_id,)
    )
    states = tx.rows(
        "SELECT state, COUNT(*) FROM dag_run WHERE backfill_id = ? GROUP BY state", (backfill_id,)
    )
    return Progress({Outcome(outcome): count for outcome, count in outcomes}, dict(states))


def dealt_with(tx: ReadTx, backfill_id: int) -> list[DealtDate]:
    """Return the dates dealt with, earliest first."""
    rows = tx.rows(
        "SELECT a.logical_date, a.outcome, r.run_id, r.state, a.at FROM backfill_date a"
        " LEFT JOIN dag_run r ON r.id = a.run_pk WHERE a.backfill_id = ? ORDER BY a.logical_date",
        (backfill_id,),
    )
    return [
        DealtDate(from_micros(date), Outcome(outcome), run_id, state, from_micros(at))
        for date, outcome, run_id, state, at in rows
    ]


def queued_runs(tx: Tx, dag_pk: int, backfill_id: int) -> list[RunRow]:
    """Return the runs of a backfill that have not begun (served by ix_dag_run_queued)."""
    rows = tx.rows(
        f"SELECT {RUN_COLUMNS} FROM dag_run r WHERE r.state = 'queued' AND r.backfill_id = ? AND r.dag_pk = ?"
        " ORDER BY r.run_after, r.id",
        (backfill_id, dag_pk),
    )
    return [run_row(row) for row in rows]
