"""Pauses: whether a DAG may start anything new, and since which task move."""

from orch.store.engine import Tx

PAUSE = "pause"
"""Kind of the rows in limit_history; size 1 from a pause on, 0 from an unpause on."""


def set_paused(tx: Tx, dag_pk: int, dag_id: str, *, is_paused: bool) -> bool:
    """Pause or unpause a DAG, with a history row; return whether that changed anything."""
    changed = tx.many(
        "UPDATE dag SET is_paused = ?, updated_at = ? WHERE id = ? AND is_paused <> ?",
        [(is_paused, tx.now, dag_pk, is_paused)],
    )
    if changed:
        note(tx, dag_id, is_paused=is_paused)
        tx.many(_LET_GO, [(dag_pk,)])
    return bool(changed)


_LET_GO = """
UPDATE dag_run SET reason = 'run_queued', due_at = run_after
WHERE dag_pk = ? AND state = 'queued' AND state IN ('queued', 'running') AND reason = 'dag_paused'
"""
"""Queued runs that said they wait for the pause say again what they wait for."""


def note(tx: Tx, dag_id: str, *, is_paused: bool) -> None:
    """Write from which task move on a DAG is paused, or no longer."""
    tx.many(
        "INSERT INTO limit_history (kind, name, size, after_ti_seq, at)"
        " SELECT ?, ?, ?, COALESCE(MAX(seq), 0), ? FROM ti_history",
        [(PAUSE, dag_id, int(is_paused), tx.now)],
    )
