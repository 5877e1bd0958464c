"""Waiters: runs that wait for another run, one row each; they are woken like by a report."""

from collections.abc import Collection, Sequence

from orch.store.engine import Tx
from orch.store.queries import runs

PAST = "past"
"""The kind of those that wait for the run before them; the key is that run's `dag_run.id`."""
_PART = 400


def anybody_waits(tx: Tx) -> bool:
    """Return whether any run waits for the run before it; one look at an index."""
    return bool(tx.rows("SELECT 1 FROM waiter WHERE kind = ? LIMIT 1", (PAST,)))


def wait_for(tx: Tx, run_pk: int, former_pk: int | None) -> None:
    """Let a run wait for the tasks of another one, and for no other run any more; None ends its wait."""
    tx.many("DELETE FROM waiter WHERE kind = ? AND run_pk = ?", [(PAST, run_pk)])
    if former_pk is not None:
        tx.many("INSERT INTO waiter (kind, key, run_pk) VALUES (?, ?, ?)", [(PAST, str(former_pk), run_pk)])


def wake_waiters(tx: Tx, former_pk: int, task_ids: Collection[str]) -> None:
    """Wake the runs that wait for this one, each by its own instances of these tasks that have not begun.

    The rows of the waiters stay: whoever still waits after its next look waits for the same run.
    """
    waiting = tx.rows("SELECT run_pk FROM waiter WHERE kind = ? AND key = ?", (PAST, str(former_pk)))
    names = sorted(task_ids)
    for (run_pk,) in waiting:
        for start in range(0, len(names), _PART):
            _wake(tx, run_pk, names[start : start + _PART])


def _wake(tx: Tx, run_pk: int, task_ids: Sequence[str]) -> None:
    marks = ",".join("?" * len(task_ids))
    rows = tx.rows(
        f"SELECT id FROM task_instance WHERE run_pk = ? AND state = 'none' AND task_id IN ({marks})",
        (run_pk, *task_ids),
    )
    runs.wake(tx, [(run_pk, ti_id) for (ti_id,) in rows])


def set_reasons(tx: Tx, reasons: Sequence[tuple[int, str]]) -> None:
    """Store why these task instances (id, reason), which have not begun, still wait."""
    tx.many(
        "UPDATE task_instance SET reason = ? WHERE id = ? AND state IN ('none')",
        [(reason, ti_id) for ti_id, reason in reasons],
    )
