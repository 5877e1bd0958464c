"""Short reads for live views: what is going on now, and what happened since the last look."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from orch.clock import from_micros
from orch.domain.states import TERMINAL
from orch.store.engine import Tx
from orch.store.queries.reading import moment
from orch.store.tables import dag, dag_run, run_history, task_instance


@dataclass(frozen=True, slots=True)
class RunProgress:
    """A run with the numbers of its task instances by state."""

    run_pk: int
    dag_id: str
    run_id: str
    state: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    counts: dict[str, int]

    @property
    def total(self) -> int:
        """Return the number of its task instances."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """Return how many of them have ended."""
        return sum(number for state, number in self.counts.items() if state in TERMINAL)


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A run that has moved."""

    seq: int
    dag_id: str
    run_id: str
    new: str
    started_at: datetime | None
    ended_at: datetime | None


def open_runs(tx: Tx, limit: int) -> list[RunProgress]:
    """Return the oldest runs that have not ended, with their counts. Served by ix_dag_run_open."""
    return _progress(tx, dag_run.c.state.in_(("queued", "running")), dag_run.c.id.asc(), limit)


def ended_runs(tx: Tx, limit: int) -> list[RunProgress]:
    """Return the runs that ended last among the newest ones, with their counts."""
    newest = sa.select(dag_run.c.id).order_by(dag_run.c.id.desc()).limit(10 * limit)
    where = sa.and_(dag_run.c.id.in_(newest), dag_run.c.ended_at.is_not(None))
    return _progress(tx, where, dag_run.c.ended_at.desc(), limit)


def dag_count(tx: Tx) -> int:
    """Return how many DAGs have their file."""
    statement = sa.select(sa.func.count()).select_from(dag).where(~dag.c.is_missing)
    return int(tx.conn.execute(statement).scalar_one())


def open_run_count(tx: Tx) -> int:
    """Return how many runs have not ended."""
    statement = sa.select(sa.func.count()).where(dag_run.c.state.in_(("queued", "running")))
    return int(tx.conn.execute(statement).scalar_one())


def last_run_event(tx: Tx) -> int:
    """Return the sequence number of the newest move of a run; 0 before the first."""
    newest = tx.conn.execute(sa.select(sa.func.max(run_history.c.seq))).scalar_one()
    return int(newest or 0)


def run_events(tx: Tx, after: int, limit: int = 1000) -> list[RunEvent]:
    """Return moves of runs with a greater sequence number, oldest first.

    For people's eyes only: where several writers commit at once, a number may appear after a greater one.
    """
    statement = (
        sa.select(
            run_history.c.seq,
            dag_run.c.dag_id,
            dag_run.c.run_id,
            run_history.c.new,
            dag_run.c.started_at,
            dag_run.c.ended_at,
        )
        .join(dag_run, dag_run.c.id == run_history.c.run_pk)
        .where(run_history.c.seq > after)
        .order_by(run_history.c.seq)
        .limit(limit)
    )
    return [
        RunEvent(row.seq, row.dag_id, row.run_id, row.new, moment(row.started_at), moment(row.ended_at))
        for row in tx.conn.execute(statement)
    ]


def _progress(
    tx: Tx, where: sa.ColumnElement[bool], order: sa.UnaryExpression[int], limit: int
) -> list[RunProgress]:
    runs = tx.conn.execute(sa.select(dag_run).where(where).order_by(order).limit(limit)).all()
    counts = _counts(tx, [run.id for run in runs])
    return [
        RunProgress(
            run_pk=run.id,
            dag_id=run.dag_id,
            run_id=run.run_id,
            state=run.state,
            created_at=from_micros(run.created_at),
            started_at=moment(run.started_at),
            ended_at=moment(run.ended_at),
            counts=counts.get(run.id, {}),
        )
        for run in runs
    ]


def _counts(tx: Tx, run_pks: list[int]) -> dict[int, dict[str, int]]:
    statement = (
        sa.select(task_instance.c.run_pk, task_instance.c.state, sa.func.count())
        .where(task_instance.c.run_pk.in_(run_pks))
        .group_by(task_instance.c.run_pk, task_instance.c.state)
    )
    found: dict[int, dict[str, int]] = {}
    for run_pk, state, number in tx.conn.execute(statement):
        found.setdefault(run_pk, {})[state] = number
    return found
