"""What limits must have held at every point of history: I9 and I10."""

from collections.abc import Iterable, Sequence

from orch.domain.limits import run_task_limit, size_key, task_limit
from orch.domain.past import REPEATS
from orch.domain.states import OCCUPYING, TaskState
from orch.store.engine import Tx
from orch.store.verify.findings import Finding, findings


def limits_held(tx: Tx) -> Iterable[Finding]:
    """I9, I10: at every point of history the slots in use were within the limit in force (a sweep, not only now)."""
    for code, kinds in (("I9", "= 'pool'"), ("I10", "<> 'pool'")):
        yield from findings(
            tx, code, "limit {0} {1} is {2}, its history says {3}",
            "SELECT l.kind, l.name, l.size, COALESCE(h.size, 'nothing') FROM limit_row l LEFT JOIN limit_history h"
            " ON h.seq = (SELECT MAX(seq) FROM limit_history WHERE kind = l.kind AND name = l.name)"
            f" WHERE h.size IS NOT l.size AND l.kind {kinds}",
        )  # fmt: skip
    sizes: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for kind, name, size, after in tx.rows(
        "SELECT kind, name, size, after_ti_seq FROM limit_history ORDER BY seq"
    ):
        sizes.setdefault((kind, name), []).append((after, size))
    used: dict[tuple[str, str], int] = {}
    reported: set[tuple[str, str]] = set()
    for seq, old, new, pool, slots, dag_id, executor, task_id, run_pk in tx.rows(
        "SELECT h.seq, h.old, h.new, t.pool, t.slots, d.dag_id, t.executor, t.task_id, t.run_pk FROM ti_history h"
        " JOIN task_instance t ON t.id = h.ti_id JOIN dag d ON d.id = t.dag_pk ORDER BY h.seq"
    ):
        change = (TaskState(new) in OCCUPYING) - (TaskState(old) in OCCUPYING)
        for key, amount in (
            (("pool", pool), slots),
            (("dag_tasks", dag_id), 1),
            (("executor", executor), 1),
            (task_limit(dag_id, task_id), 1),
            (run_task_limit(dag_id, task_id, run_pk), 1),
        ):
            used[key] = used.get(key, 0) + change * amount
            size = _in_force(sizes.get(size_key(key), []), seq)
            if change > 0 and size is not None and used[key] > size >= 0 and key not in reported:
                reported.add(key)
                yield Finding(
                    "I9" if key[0] == "pool" else "I10", f"{key[0]} {key[1]}: {used[key]} of {size}", key
                )


def _in_force(changes: Sequence[tuple[int, int]], seq: int) -> int | None:
    """Return the size in force at a history row; the row of a change's own moment counts with the larger size."""
    size = None
    for after, value in changes:
        if after >= seq:
            break
        size = value
    return size


def pauses_held(tx: Tx) -> Iterable[Finding]:
    """I23: nothing was queued while its DAG was paused, as of that point of history."""
    yield from findings(
        tx, "I23", "DAG {0}: task instance {1} was queued (history row {2}) while the DAG was paused",
        """
        SELECT d.dag_id, h.ti_id, h.seq FROM ti_history h JOIN task_instance t ON t.id = h.ti_id
        JOIN dag d ON d.id = t.dag_pk WHERE h.new = 'queued' AND 1 = (
          SELECT p.size FROM limit_history p WHERE p.kind = 'pause' AND p.name = d.dag_id
          AND p.after_ti_seq < h.seq ORDER BY p.seq DESC LIMIT 1)
        """,
    )  # fmt: skip


def active_runs_held(tx: Tx) -> Iterable[Finding]:
    """I10: at every point of the run history a DAG had no more active runs than its largest limit ever allowed.

    A run promoted because it repeats a date that active runs wait for does not count while that promotion lasts.
    """
    largest: dict[str, int] = dict(
        tx.rows("SELECT name, MAX(CASE size WHEN -1 THEN 1000000000 ELSE size END) FROM limit_history"
                " WHERE kind = 'dag_runs' GROUP BY name")
    )  # fmt: skip
    active: dict[str, int] = {}
    repeats: set[int] = set()
    for dag_id, run_pk, old, new, reason in tx.rows(
        "SELECT r.dag_id, h.run_pk, h.old, h.new, h.reason FROM run_history h JOIN dag_run r ON r.id = h.run_pk"
        " WHERE r.backfill_id IS NULL ORDER BY h.seq"  # backfills have a limit of their own
    ):
        if new == "running" and reason == REPEATS:
            repeats.add(run_pk)
            continue
        if old == "running" and run_pk in repeats:
            repeats.remove(run_pk)
            continue
        active[dag_id] = active.get(dag_id, 0) + (new == "running") - (old == "running")
        if dag_id in largest and active[dag_id] > largest[dag_id]:
            yield Finding(
                "I10", f"DAG {dag_id}: {active[dag_id]} active runs of {largest[dag_id]}", (dag_id,)
            )
            active[dag_id] = -1_000_000_000
