"""What the rows must say of each other now: I11 to I14, I19 and I21."""

from collections.abc import Iterable

from orch.domain.decide import FAILED_FAST, derive_run_end
from orch.domain.run_view import TIMED_OUT, RunView
from orch.domain.states import FAILED_STATES, RunState, TaskState
from orch.store.engine import Tx
from orch.store.queries import runs
from orch.store.verify.findings import Finding, findings

SETTLE_SECONDS = 10.0
"""An open run may be without a live cause for this long: somebody is about to act."""


def open_runs_have_a_cause(tx: Tx) -> Iterable[Finding]:
    """I11: each open run has something that will move it on: a timer, a wake-up, an attempt, a pause, a limit."""
    yield from findings(
        tx, "I11", "run {0} ({1}) is open and nothing will move it on",
        """
        SELECT r.id, r.run_id FROM dag_run r JOIN dag d ON d.id = r.dag_pk
        WHERE r.state = 'running' AND NOT d.is_paused AND r.due_at IS NULL AND r.created_at < ?
          AND r.id NOT IN (SELECT run_pk FROM wakeup)
          AND NOT EXISTS (SELECT 1 FROM task_instance t WHERE t.run_pk = r.id AND t.state IN
            ('scheduled', 'queued', 'running', 'deferred', 'awaiting_input'))
        """,
        (tx.now - int(SETTLE_SECONDS * 1_000_000),),
    )  # fmt: skip


def open_states_have_their_rows(tx: Tx) -> Iterable[Finding]:
    """I12: queued has its dispatch row, running its attempt, deferred its trigger, waiting its due time."""
    yield from findings(
        tx, "I12", "task instance {0} is queued without a dispatch row of epoch {1}",
        "SELECT t.id, t.epoch FROM task_instance t LEFT JOIN dispatch d ON d.ti_id = t.id AND d.epoch = t.epoch"
        " WHERE t.state = 'queued' AND d.ti_id IS NULL",
    )  # fmt: skip
    yield from findings(
        tx, "I12", "task instance {0} is running without an open attempt of epoch {1}",
        "SELECT t.id, t.epoch FROM task_instance t LEFT JOIN attempt a ON a.ti_id = t.id AND a.epoch = t.epoch"
        " AND a.outcome IS NULL WHERE t.state = 'running' AND a.ti_id IS NULL",
    )  # fmt: skip
    yield from findings(
        tx, "I12", "task instance {0} is {1} without a due time",
        "SELECT id, state FROM task_instance WHERE state IN ('up_for_retry', 'up_for_reschedule') AND due_at IS NULL",
    )  # fmt: skip
    yield from findings(
        tx, "I12", "task instance {0} is deferred without a trigger",
        "SELECT t.id FROM task_instance t LEFT JOIN \"trigger\" g ON g.ti_id = t.id AND g.epoch = t.epoch"
        " WHERE t.state = 'deferred' AND g.id IS NULL",
    )  # fmt: skip


def closed_states_have_none(tx: Tx) -> Iterable[Finding]:
    """I13: what is not running has no open attempt, what has ended no dispatch row, timer or due time."""
    yield from findings(
        tx, "I13", "task instance {0} is {1} with an open attempt of epoch {2}",
        "SELECT t.id, t.state, a.epoch FROM attempt a JOIN task_instance t ON t.id = a.ti_id"
        " WHERE a.outcome IS NULL AND (t.state <> 'running' OR t.epoch <> a.epoch)",
    )  # fmt: skip
    yield from findings(
        tx, "I13", "task instance {0} is {1} with a dispatch row of epoch {2}",
        "SELECT t.id, t.state, d.epoch FROM dispatch d JOIN task_instance t ON t.id = d.ti_id"
        " WHERE t.state <> 'queued' OR t.epoch <> d.epoch",
    )  # fmt: skip
    yield from findings(
        tx, "I13", "task instance {0} has ended ({1}) and still has a due time",
        "SELECT id, state FROM task_instance WHERE due_at IS NOT NULL"
        " AND state IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed', 'cancelled')",
    )  # fmt: skip


def run_states_are_derived(tx: Tx) -> Iterable[Finding]:
    """I14: a run has ended exactly when its tasks have, in the state its leaves give, and not before them."""
    yield from findings(
        tx, "I14", "run {0} is {1} while task {2} is {3}",
        "SELECT r.id, r.state, t.task_id, t.state FROM dag_run r JOIN task_instance t ON t.run_pk = r.id"
        " WHERE r.state IN ('success', 'failed', 'cancelled') AND t.state NOT IN"
        " ('success', 'failed', 'skipped', 'upstream_failed', 'removed', 'cancelled')",
    )  # fmt: skip
    yield from findings(
        tx, "I14", "run {0} ended before its task {1} did",
        "SELECT r.id, t.task_id FROM dag_run r JOIN task_instance t ON t.run_pk = r.id"
        " WHERE r.state IN ('success', 'failed') AND t.ended_at > r.ended_at AND t.state_since > r.ended_at",
    )  # fmt: skip
    for run_pk, state, reason, version_id in tx.rows(
        "SELECT id, state, reason, dag_version_id FROM dag_run WHERE state IN ('success', 'failed')"
    ):
        facts = [runs.facts(row) for row in runs.rows_of_run(tx, run_pk)]
        view = RunView(run_pk, 0, runs.spec_of_version(tx, version_id), facts)
        _, why = derive_run_end(view)
        derived = RunState.FAILED if why else _derived(view)
        if derived != state:
            yield Finding("I14", f"run {run_pk} is {state}, its tasks say {derived}", (run_pk,))
        elif why != reason and (why or reason in (TIMED_OUT, FAILED_FAST)):
            yield Finding("I14", f"run {run_pk} ended by {reason}, its tasks say {why}", (run_pk,))


def _derived(view: RunView) -> RunState:
    """Derive the state from the leaves apart from `domain.decide`, so that a mistake there shows."""
    leaves = [task.facts.state for task in view.tasks if not task.downstream]
    if any(state in FAILED_STATES for state in leaves):
        return RunState.FAILED
    return RunState.CANCELLED if TaskState.CANCELLED in leaves else RunState.SUCCESS


def results_are_of_accepted_attempts(tx: Tx) -> Iterable[Finding]:
    """I19: an XCom belongs to an attempt whose outcome was accepted."""
    yield from findings(
        tx, "I19", "XCom {2!r} of task instance {0} is of epoch {1}, which has no accepted outcome",
        "SELECT x.ti_id, x.epoch, x.key FROM xcom x LEFT JOIN attempt a ON a.ti_id = x.ti_id AND a.epoch = x.epoch"
        " WHERE a.outcome IS NULL OR a.outcome NOT IN ('success', 'failed', 'skipped')",
    )  # fmt: skip


def versions_are_pinned(tx: Tx) -> Iterable[Finding]:
    """I21: a task instance has the version of its run, and a stored version still has its hash."""
    yield from findings(
        tx, "I21", "task instance {0} has version {1}, its run {2}",
        "SELECT t.id, t.dag_version_id, r.dag_version_id FROM task_instance t JOIN dag_run r ON r.id = t.run_pk"
        " WHERE t.dag_version_id <> r.dag_version_id",
    )  # fmt: skip
    for version_id, stored in tx.rows("SELECT id, structure_hash FROM dag_version"):
        if runs.spec_of_version(tx, version_id).structure_hash != stored:
            yield Finding("I21", f"DAG version {version_id} is not what was stored", (version_id,))
