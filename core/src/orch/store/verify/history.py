"""What the history must show: I1 to I8, I17 and I18."""

from collections.abc import Iterable

from orch.domain.states import ALLOWED, RUN_TRANSITIONS, TERMINAL, Actor, RunState, TaskState
from orch.domain.trigger_rules import TriggerRule, UpstreamCounts, Verdict, evaluate
from orch.store.engine import Tx
from orch.store.queries import runs
from orch.store.verify.findings import Finding, findings


def history_is_gapless(tx: Tx) -> Iterable[Finding]:
    """I1: versions 1..n, each old the previous new, the last new the present state."""
    yield from findings(
        tx, "I1", "task instance {0}: version {1}, but {2} history rows",
        "SELECT t.id, t.version, COUNT(h.seq) FROM task_instance t LEFT JOIN ti_history h ON h.ti_id = t.id"
        " GROUP BY t.id HAVING t.version <> COUNT(h.seq) OR t.version <> COALESCE(MAX(h.version), 0)",
    )  # fmt: skip
    yield from findings(
        tx, "I1", "task instance {0}: history version {1} starts from {2}, the one before ended in {3}",
        "SELECT ti_id, version, old, former FROM (SELECT ti_id, version, old, LAG(new, 1, 'none')"
        " OVER (PARTITION BY ti_id ORDER BY version) AS former FROM ti_history) WHERE old <> former",
    )  # fmt: skip
    yield from findings(
        tx, "I1", "task instance {0} is {1} without any history",
        "SELECT id, state FROM task_instance WHERE version = 0 AND state <> 'none'",
    )  # fmt: skip
    yield from findings(
        tx, "I1", "task instance {0} is {1}, its history says {2}",
        "SELECT t.id, t.state, h.new FROM task_instance t JOIN ti_history h ON h.ti_id = t.id"
        " AND h.version = t.version WHERE h.new <> t.state",
    )  # fmt: skip
    yield from findings(
        tx, "I1", "task instance {0}: its run {1} is gone",
        "SELECT t.id, t.run_pk FROM task_instance t LEFT JOIN dag_run r ON r.id = t.run_pk WHERE r.id IS NULL",
    )  # fmt: skip
    yield from findings(
        tx, "I1", "run {0} is {1}, its history says {2}",
        "SELECT r.id, r.state, COALESCE(h.new, 'nothing') FROM dag_run r LEFT JOIN run_history h ON h.seq ="
        " (SELECT MAX(seq) FROM run_history WHERE run_pk = r.id) WHERE h.new IS NOT r.state",
    )  # fmt: skip
    yield from findings(
        tx, "I1", "task instance {0}: history versions {1} and later are not in the order of their sequence",
        "SELECT ti_id, version FROM (SELECT ti_id, version, seq, LAG(seq, 1, 0) OVER"
        " (PARTITION BY ti_id ORDER BY version) AS former FROM ti_history) WHERE seq < former",
    )  # fmt: skip


def moves_are_in_the_table(tx: Tx) -> Iterable[Finding]:
    """I2: every (old, new, actor) is in the published table."""
    for old, new, actor, ti_id in tx.rows(
        "SELECT old, new, actor, MIN(ti_id) FROM ti_history GROUP BY old, new, actor"
    ):
        if (TaskState(old), TaskState(new), Actor(actor)) not in ALLOWED:
            yield Finding("I2", f"task instance {ti_id}: {old} -> {new} by {actor} is not allowed", (ti_id,))
    for old, new, run_pk in tx.rows("SELECT old, new, MIN(run_pk) FROM run_history GROUP BY old, new"):
        legal = new == "queued" if old == "" else RunState(new) in RUN_TRANSITIONS[RunState(old)]
        if not legal:
            yield Finding("I2", f"run {run_pk}: {old} -> {new} is not allowed", (run_pk,))


def epochs_start_once(tx: Tx) -> Iterable[Finding]:
    """I3: one start per epoch; a second epoch in a try only after a move that keeps the try."""
    yield from findings(
        tx, "I3", "task instance {0}: epoch {1} was started {2} times",
        "SELECT ti_id, epoch, COUNT(*) FROM ti_history WHERE new = 'running' GROUP BY ti_id, epoch HAVING COUNT(*) > 1",
    )  # fmt: skip
    yield from findings(
        tx, "I3", "task instance {0}: try {1} has {2} starts but only {3} excuses",
        """
        SELECT s.ti_id, s.try_number, s.starts, COALESCE(e.excuses, 0) FROM (
          SELECT ti_id, try_number, COUNT(*) AS starts FROM ti_history WHERE new = 'running' GROUP BY 1, 2) s
        LEFT JOIN (
          SELECT ti_id, try_number, COUNT(*) AS excuses FROM ti_history
          WHERE old = 'running' AND new IN ('scheduled', 'up_for_reschedule', 'deferred', 'awaiting_input')
          GROUP BY 1, 2) e ON e.ti_id = s.ti_id AND e.try_number = s.try_number
        WHERE s.starts > 1 + COALESCE(e.excuses, 0)
        """,
    )  # fmt: skip


def tries_end_once(tx: Tx) -> Iterable[Finding]:
    """I4: at most one accepted outcome per try."""
    yield from findings(
        tx, "I4", "task instance {0}: try {1} has {2} accepted outcomes",
        "SELECT ti_id, try_number, COUNT(*) FROM ti_history WHERE actor = 'worker'"
        " AND new IN ('success', 'failed', 'skipped', 'up_for_retry') GROUP BY 1, 2 HAVING COUNT(*) > 1",
    )  # fmt: skip


def holders_end_what_they_started(tx: Tx) -> Iterable[Finding]:
    """I5: a worker's end comes from the holder of the directly preceding start, in the same epoch."""
    yield from findings(
        tx, "I5", "task instance {0}: {1} reported the end of what {2} had started",
        """
        SELECT e.ti_id, e.actor_id, COALESCE(s.actor_id, 'nobody') FROM ti_history e
        LEFT JOIN ti_history s ON s.ti_id = e.ti_id AND s.version = e.version - 1 AND s.new = 'running'
        WHERE e.actor = 'worker' AND e.old = 'running'
          AND (s.actor_id IS NULL OR s.actor_id <> e.actor_id OR s.epoch <> e.epoch)
        """,
    )  # fmt: skip


def epochs_only_grow(tx: Tx) -> Iterable[Finding]:
    """I6: the epoch never falls, and a start has an epoch of its own."""
    yield from findings(
        tx, "I6", "task instance {0}: the epoch falls at history version {1}",
        "SELECT ti_id, version FROM (SELECT ti_id, version, epoch, LAG(epoch, 1, 0)"
        " OVER (PARTITION BY ti_id ORDER BY version) AS former FROM ti_history) WHERE epoch < former",
    )  # fmt: skip


def ends_are_final(tx: Tx) -> Iterable[Finding]:
    """I7: only an operator moves a terminal task instance."""
    yield from findings(
        tx, "I7", "task instance {0}: left {1} by {2}",
        "SELECT ti_id, old, actor FROM ti_history WHERE actor <> 'operator' AND old IN"
        " ('success', 'failed', 'skipped', 'upstream_failed', 'removed', 'cancelled')",
    )  # fmt: skip


def trigger_rules_held(tx: Tx) -> Iterable[Finding]:
    """I8: at each scheduling of a task its trigger rule held on the upstream states of that moment (replayed)."""
    for run_pk, version_id in tx.rows("SELECT id, dag_version_id FROM dag_run"):
        spec = runs.spec_of_version(tx, version_id)
        states: dict[str, TaskState] = {}
        for task_id, new, old in tx.rows(
            "SELECT t.task_id, h.new, h.old FROM ti_history h JOIN task_instance t ON t.id = h.ti_id"
            " WHERE t.run_pk = ? ORDER BY h.seq",
            (run_pk,),
        ):
            if old == "none" and new == "scheduled" and (task := spec.by_id.get(task_id)) is not None:
                counts = UpstreamCounts(total=len(task.upstream))
                for upstream in task.upstream:
                    if (state := states.get(upstream, TaskState.NONE)) in TERMINAL:
                        counts.add(state, is_setup=spec.by_id[upstream].is_setup)
                    counts.setup_total += spec.by_id[upstream].is_setup
                if evaluate(TriggerRule(task.trigger_rule), counts) is not Verdict.RUN:
                    yield Finding(
                        "I8", f"run {run_pk}: {task_id} was scheduled before its rule held", (run_pk, task_id)
                    )
            states[task_id] = TaskState(new)


def tries_are_bounded(tx: Tx) -> Iterable[Finding]:
    """I17: no more tries than allowed, and each used one has a start."""
    yield from findings(
        tx, "I17", "task instance {0}: try {1} of {2}",
        "SELECT id, try_number, max_tries FROM task_instance WHERE try_number > max_tries",
    )  # fmt: skip
    yield from findings(
        tx, "I17", "task instance {0}: {1} tries, but {2} of them were started",
        """
        SELECT t.id, t.try_number, COUNT(DISTINCT h.try_number) FROM task_instance t
        LEFT JOIN ti_history h ON h.ti_id = t.id AND h.new = 'running' AND h.try_number > 0
        WHERE t.try_number > 0 GROUP BY t.id HAVING COUNT(DISTINCT h.try_number) <> t.try_number
        """,
    )  # fmt: skip


def retries_wait(tx: Tx) -> Iterable[Finding]:
    """I18: the next try is scheduled no earlier than its delay after the failure."""
    for ti_id, task_id, try_number, waited, version_id in tx.rows(
        """
        SELECT t.id, t.task_id, f.try_number, s.at - f.at, t.dag_version_id FROM ti_history f
        JOIN ti_history s ON s.ti_id = f.ti_id AND s.version = f.version + 1 AND s.new = 'scheduled'
        JOIN task_instance t ON t.id = f.ti_id WHERE f.new = 'up_for_retry'
        """
    ):
        spec = runs.spec_of_version(tx, version_id).by_id.get(task_id)
        if spec is not None:
            least = spec.retry.delay_seconds * spec.retry.multiplier ** (try_number - 1)
            cap = spec.retry.max_delay_seconds
            if waited < (least if cap is None else min(least, cap)) * 1_000_000:
                yield Finding("I18", f"task instance {ti_id}: try {try_number + 1} came too early", (ti_id,))
