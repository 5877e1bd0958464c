"""Promotion: which queued runs have room, and why the others wait."""

from orch.store.engine import Tx
from orch.store.queries.runs import RUN_COLUMNS, RunRow, run_row


def promotable(tx: Tx, most: int, dag_pk: int | None = None) -> list[RunRow]:
    """Return queued runs that have room, per DAG the oldest: none of a paused DAG or of one at its limit."""
    rows = tx.rows(
        f"""
        SELECT {RUN_COLUMNS} FROM ({_QUEUED}) q JOIN dag_run r ON r.id = q.id
        WHERE q.size < 0 OR q.place <= q.size - q.running ORDER BY q.place, r.run_after, r.id LIMIT ?
        """,
        (tx.now, dag_pk, most),
    )
    return [run_row(row) for row in rows]


def without_room(tx: Tx, most: int, dag_pk: int | None = None) -> list[int]:
    """Return queued runs that wait for another run of their DAG to end and do not say so yet."""
    rows = tx.rows(
        f"""
        SELECT r.id FROM ({_QUEUED}) q JOIN dag_run r ON r.id = q.id
        WHERE q.size >= 0 AND q.place > q.size - q.running AND r.reason IS NOT 'max_active_runs' LIMIT ?
        """,
        (tx.now, dag_pk, most),
    )
    return [run_pk for (run_pk,) in rows]


_QUEUED = """
SELECT r.id, ROW_NUMBER() OVER (PARTITION BY r.dag_pk ORDER BY r.run_after, r.id) AS place,
  COALESCE((SELECT size FROM limit_row l WHERE l.kind = 'dag_runs' AND l.name = r.dag_id), -1) AS size,
  (SELECT COUNT(*) FROM dag_run o WHERE o.dag_pk = r.dag_pk AND o.state = 'running') AS running
FROM dag_run r JOIN dag d ON d.id = r.dag_pk
WHERE r.state = 'queued' AND r.run_after <= ? AND NOT d.is_paused AND r.dag_pk = COALESCE(?, r.dag_pk)
"""
"""Each queued run with its place among those of its DAG, and what its DAG allows and has."""


def set_run_reason(tx: Tx, run_pk: int, reason: str) -> None:
    """Store why a queued run is not promoted."""
    tx.many(
        "UPDATE dag_run SET reason = ? WHERE id = ? AND (reason IS NULL OR reason <> ?)",
        [(reason, run_pk, reason)],
    )


def queued_scheduled(tx: Tx, dag_pk: int) -> int:
    """Return how many scheduled runs of a DAG wait for promotion."""
    ((count,),) = tx.rows(
        "SELECT COUNT(*) FROM dag_run WHERE dag_pk = ? AND state = 'queued' AND run_type = 'scheduled'",
        (dag_pk,),
    )
    return int(count)
