"""Promotion: which queued runs have room, and why the others wait.

Runs queue in groups: those of a DAG, and those of each of its backfills, which have a limit of their own. What a
look costs goes with the groups that have queued runs, never with the runs in them.

A run that repeats a date which active runs wait for needs no room, and takes none: they may hold all there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from orch.domain.past import REPEATS
from orch.store.engine import Tx
from orch.store.queries.runs import RUN_COLUMNS, RunRow, run_row

NO_LIMIT = 1_000_000_000


@dataclass(frozen=True, slots=True)
class QueuedGroup:
    """Queued runs that share a limit, and how many of them may begin now."""

    dag_pk: int
    backfill_id: int | None
    oldest_run_after: int
    room: int


def promotable(tx: Tx, most: int, dag_pk: int | None = None) -> list[RunRow]:
    """Return queued runs that have room, oldest first: none of a paused DAG or of a group at its limit.

    With many groups each gives few, so that none waits for the backlog of another one.
    """
    groups = with_room(tx, dag_pk)
    share = max(1, most // max(1, len(groups)))
    found: list[RunRow] = []
    for group in groups:
        if len(found) >= most:
            break
        found += _oldest(tx, group, min(group.room, share, most - len(found)))
    return found


def with_room(tx: Tx, dag_pk: int | None = None) -> list[QueuedGroup]:
    """Return the groups whose oldest queued run may begin now, the longest waiting first."""
    rows = [*tx.rows(_OF_DAGS, (dag_pk, tx.now)), *tx.rows(_OF_BACKFILLS, (dag_pk, tx.now))]
    groups = [QueuedGroup(*row) for row in rows if row[3] > 0]
    return sorted(groups, key=lambda group: group.oldest_run_after)


def _oldest(tx: Tx, group: QueuedGroup, most: int) -> list[RunRow]:
    rows = tx.rows(
        f"SELECT {RUN_COLUMNS} FROM dag_run r WHERE r.state = 'queued' AND r.backfill_id IS ? AND r.dag_pk = ?"
        " AND r.run_after <= ? ORDER BY r.run_after, r.id LIMIT ?",
        (group.backfill_id, group.dag_pk, tx.now, most),
    )
    return [run_row(row) for row in rows]


_OF_DAGS = f"""
WITH RECURSIVE waiting(dag_pk) AS (
  SELECT MIN(dag_pk) FROM dag_run WHERE state = 'queued' AND backfill_id IS NULL AND dag_pk >= COALESCE(?1, 0)
  UNION ALL
  SELECT (SELECT MIN(n.dag_pk) FROM dag_run n
          WHERE n.state = 'queued' AND n.backfill_id IS NULL AND n.dag_pk > w.dag_pk)
  FROM waiting w WHERE w.dag_pk IS NOT NULL AND ?1 IS NULL
)
SELECT d.id, NULL,
  (SELECT MIN(o.run_after) FROM dag_run o WHERE o.state = 'queued' AND o.backfill_id IS NULL AND o.dag_pk = d.id)
    AS oldest,
  COALESCE((SELECT CASE WHEN l.size < 0 THEN {NO_LIMIT} ELSE l.size END FROM limit_row l
            WHERE l.kind = 'dag_runs' AND l.name = d.dag_id), {NO_LIMIT})
  - (SELECT COUNT(*) FROM dag_run a WHERE a.dag_pk = d.id AND a.state = 'running'
     AND a.state IN ('queued', 'running') AND a.run_type <> 'backfill' AND a.reason IS NOT '{REPEATS}')
FROM waiting w JOIN dag d ON d.id = w.dag_pk
WHERE NOT d.is_paused AND d.id = COALESCE(?1, d.id) AND oldest <= ?2
"""
"""One row per DAG with queued runs of its own. It skips through ix_dag_run_queued from DAG to DAG, and counts in
ix_dag_run_open_of_dag, whose condition must be said word for word before SQLite uses it."""

_OF_BACKFILLS = """
SELECT b.dag_pk, b.id,
  (SELECT MIN(o.run_after) FROM dag_run o WHERE o.state = 'queued' AND o.backfill_id = b.id AND o.dag_pk = b.dag_pk)
    AS oldest,
  b.max_active_runs - (SELECT COUNT(*) FROM dag_run a WHERE a.dag_pk = b.dag_pk
    AND a.state = 'running' AND a.state IN ('queued', 'running') AND a.run_type = 'backfill' AND a.backfill_id = b.id)
FROM backfill b JOIN dag d ON d.id = b.dag_pk
WHERE b.state = 'running' AND b.ended_at IS NULL AND NOT d.is_paused AND b.dag_pk = COALESCE(?1, b.dag_pk)
  AND oldest <= ?2
"""
"""One row per open backfill with queued runs; found in ix_backfill_open."""


def repeats(tx: Tx, most: int, dag_pk: int | None = None) -> list[RunRow]:
    """Return queued runs, one of a date, that repeat a run which has ended and which active runs still wait for.

    None of a paused DAG or of a backfill, and none while another repeat of the same run has begun: the waiters are
    to look at that one first. Costs one look at an index when nobody waits, else a few for each run that does.
    """
    return [run_row(row) for row in tx.rows(_REPEATS, (tx.now, dag_pk, most))]


_REPEATS = f"""
SELECT {RUN_COLUMNS} FROM dag_run r WHERE r.id IN (
  SELECT MIN(q.id) FROM waiter w CROSS JOIN dag_run h CROSS JOIN dag_run f CROSS JOIN dag d CROSS JOIN dag_run q
  WHERE w.kind = 'past' AND h.id = w.run_pk AND h.state = 'running'
    AND f.id = CAST(w.key AS INTEGER) AND f.state NOT IN ('queued', 'running')
    AND d.id = f.dag_pk AND NOT d.is_paused
    AND q.dag_pk = f.dag_pk AND COALESCE(q.logical_date, q.run_after) = COALESCE(f.logical_date, f.run_after)
    AND q.id > f.id AND q.state = 'queued' AND q.run_type <> 'backfill' AND q.run_after <= ?1
    AND q.dag_pk = COALESCE(?2, q.dag_pk)
    AND NOT EXISTS (SELECT 1 FROM dag_run o WHERE o.dag_pk = f.dag_pk AND o.id > f.id AND o.started_at IS NOT NULL
      AND COALESCE(o.logical_date, o.run_after) = COALESCE(f.logical_date, f.run_after))
  GROUP BY f.dag_pk, COALESCE(f.logical_date, f.run_after))
ORDER BY r.id LIMIT ?3
"""
"""CROSS JOIN keeps SQLite to this order: from the waiters to those they wait for, then in ix_dag_run_order. Only a
run made after the one that has ended takes its place as the run before."""


def without_room(tx: Tx, most: int, dag_pk: int | None = None) -> list[tuple[int, str]]:
    """Return (run_pk, reason) of queued runs that wait for more than their turn and do not say so yet.

    A run that says so has no `due_at` any more, so that it is not looked at again.
    """
    rows: list[tuple[int, str]] = tx.rows(_HELD_BACK, (tx.now, dag_pk, most))
    return rows


_HELD_BACK = f"""
SELECT * FROM (
  SELECT r.id, CASE
    WHEN d.is_paused THEN 'dag_paused'
    WHEN r.run_type <> 'backfill' AND (SELECT l.size FROM limit_row l WHERE l.kind = 'dag_runs' AND l.name = r.dag_id)
      BETWEEN 0 AND (SELECT COUNT(*) FROM dag_run a WHERE a.dag_pk = r.dag_pk
        AND a.state = 'running' AND a.state IN ('queued', 'running') AND a.run_type <> 'backfill'
        AND a.reason IS NOT '{REPEATS}')
    THEN 'max_active_runs' END AS reason
  FROM dag_run r JOIN dag d ON d.id = r.dag_pk
  WHERE r.state = 'queued' AND r.state IN ('queued', 'running') AND r.due_at <= ? AND r.dag_pk = COALESCE(?, r.dag_pk))
WHERE reason IS NOT NULL LIMIT ?
"""


def set_run_reasons(tx: Tx, reasons: Sequence[tuple[int, str]]) -> None:
    """Store (run_pk, reason): why queued runs are not promoted. They are due no more until that ends."""
    tx.many(
        "UPDATE dag_run SET reason = ?, due_at = NULL WHERE id = ? AND state = 'queued'",
        [(reason, run_pk) for run_pk, reason in reasons],
    )


def queued_scheduled(tx: Tx, dag_pk: int) -> int:
    """Return how many scheduled runs of a DAG wait for promotion."""
    ((count,),) = tx.rows(
        "SELECT COUNT(*) FROM dag_run WHERE dag_pk = ? AND state = 'queued' AND state IN ('queued', 'running')"
        " AND run_type = 'scheduled'",
        (dag_pk,),
    )
    return int(count)
