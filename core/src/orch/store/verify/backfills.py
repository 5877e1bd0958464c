"""What backfills promise: their runs and dates belong together (I15), and their own limit held (I10)."""

from collections.abc import Iterable

from orch.store.engine import Tx
from orch.store.verify.findings import Finding, findings


def dates_have_their_runs(tx: Tx) -> Iterable[Finding]:
    """I15: one run for each date that says so and one such date for each run; the end comes after all of them."""
    for message, sql in _CHECKS.items():
        yield from findings(tx, "I15", message, sql)


_CHECKS = {
    "run {0} is of backfill {1}, which has no date for it": """
        SELECT r.id, r.backfill_id FROM dag_run r LEFT JOIN backfill_date a ON a.backfill_id = r.backfill_id
          AND a.logical_date = r.logical_date AND a.outcome = 'created' AND a.run_pk = r.id
        WHERE r.backfill_id IS NOT NULL AND a.run_pk IS NULL
        """,
    "run {0} has the type {1} and backfill {2}": """
        SELECT id, run_type, COALESCE(backfill_id, 'none') FROM dag_run
        WHERE (run_type = 'backfill') <> (backfill_id IS NOT NULL)
        """,
    "backfill {0}: the run of date {1} is not there": """
        SELECT a.backfill_id, a.logical_date FROM backfill_date a LEFT JOIN dag_run r ON r.id = a.run_pk
          AND r.backfill_id = a.backfill_id AND r.logical_date = a.logical_date
        WHERE a.outcome = 'created' AND r.id IS NULL
        """,
    "backfill {0}: date {1} was passed over ({2}) for a run that is not there": """
        SELECT a.backfill_id, a.logical_date, a.outcome FROM backfill_date a LEFT JOIN dag_run r ON r.id = a.run_pk
        WHERE a.outcome <> 'created' AND r.logical_date IS NOT a.logical_date
        """,
    "backfill {0}: date {1} is outside of what it has dealt with": """
        SELECT b.id, a.logical_date FROM backfill_date a JOIN backfill b ON b.id = a.backfill_id
        WHERE a.logical_date NOT BETWEEN b.from_date AND b.to_date OR b.position IS NULL
          OR (CASE WHEN b.run_backwards THEN a.logical_date < b.position ELSE a.logical_date > b.position END)
        """,
    "backfill {0} is completed with {1} of its {2} dates": """
        SELECT b.id, COUNT(a.logical_date), b.dates FROM backfill b
        LEFT JOIN backfill_date a ON a.backfill_id = b.id
        WHERE b.state = 'completed' GROUP BY b.id HAVING COUNT(a.logical_date) <> b.dates
        """,
    "backfill {0} is {1}, and its run {2} has never ended": """
        SELECT b.id, b.state, r.id FROM backfill b JOIN dag_run r ON r.backfill_id = b.id
        WHERE (b.state = 'completed' OR (b.state = 'cancelled' AND r.state = 'queued')) AND NOT EXISTS
          (SELECT 1 FROM run_history h WHERE h.run_pk = r.id AND h.new IN ('success', 'failed', 'cancelled'))
        """,
    "backfill {0} is {1}, and its end says otherwise": """
        SELECT id, state FROM backfill WHERE (state IN ('completed', 'cancelled')) <> (ended_at IS NOT NULL)
        """,
}
"""What is wrong -> the query whose rows are so. A run that was opened again after its end is nobody's fault."""


def active_runs_held(tx: Tx) -> Iterable[Finding]:
    """I10: at every point of the run history a backfill had no more active runs than it may have."""
    active: dict[int, int] = {}
    for backfill_id, most, old, new in tx.rows(
        "SELECT b.id, b.max_active_runs, h.old, h.new FROM run_history h JOIN dag_run r ON r.id = h.run_pk"
        " JOIN backfill b ON b.id = r.backfill_id ORDER BY h.seq"
    ):
        active[backfill_id] = active.get(backfill_id, 0) + (new == "running") - (old == "running")
        if active[backfill_id] > most:
            yield Finding(
                "I10", f"backfill {backfill_id}: {active[backfill_id]} active runs of {most}", (backfill_id,)
            )
            active[backfill_id] = -1_000_000_000
