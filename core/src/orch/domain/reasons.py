"""Reasons: every code that says why a task instance or a run is where it is, with a sentence and a remedy."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReasonText:
    """What a code means for people, and what they can do."""

    sentence: str
    remedy: str


REASONS: dict[str, ReasonText] = {
    # waiting
    "run_queued": ReasonText(
        "The run waits for its turn.", "Wait for a scheduler, or start one with `orch up`."
    ),
    "run_after": ReasonText(
        "The run is not due yet: it begins at its tick and the jitter of its DAG.", "Wait for that time."
    ),
    "max_active_runs": ReasonText(
        "The DAG has as many active runs as it may have.",
        "Wait for one to end, or raise `max_active_runs` of the DAG.",
    ),
    "dag_paused": ReasonText("The DAG is paused.", "Unpause it."),
    "backfill_paused": ReasonText(
        "The backfill that made the run is paused.", "Let it go on with `orch backfill resume ID`."
    ),
    "upstream_not_done": ReasonText(
        "Upstream tasks have not ended yet.", "Look at the tasks named; they go first."
    ),
    "not_evaluated": ReasonText(
        "No scheduler has looked at it yet.", "Start one with `orch up` when none is running."
    ),
    "run_not_begun": ReasonText("Its run has not begun.", "See why the run waits."),
    "depends_on_past": ReasonText(
        "The same task of the run before has not succeeded yet.",
        "Wait for it; when it has failed, mend it and run the date of that run again:"
        " `orch trigger DAG --logical-date DATE`.",
    ),
    "wait_for_downstream": ReasonText(
        "Tasks directly downstream of it in the run before have not succeeded yet.",
        "Wait for them; when one has failed, mend it and run the date of that run again:"
        " `orch trigger DAG --logical-date DATE`.",
    ),
    "pool_full": ReasonText(
        "All slots of its pool are taken.", "Wait for a slot, or give the pool more slots."
    ),
    "pool_without_slots": ReasonText("Its pool has no slots.", "Give the pool slots."),
    "pool_too_small": ReasonText(
        "It needs more slots than its whole pool has.", "Give the pool more slots, or lower `pool_slots`."
    ),
    "unrunnable": ReasonText("What it needs to run cannot be read.", "See `orch why`; make a new run."),
    "pool_missing": ReasonText(
        "Its pool does not exist, so it has no slots.", "Create the pool, or name another one in `pool=`."
    ),
    "max_active_tasks": ReasonText(
        "The DAG runs as many tasks as it may run at once.",
        "Wait for one to end, or raise `max_active_tasks` of the DAG.",
    ),
    "task_limit": ReasonText(
        "As many instances of the task run, over all runs of its DAG, as may run at once.",
        "Wait for one to end, or raise `max_active_tis_per_dag` of the task.",
    ),
    "run_task_limit": ReasonText(
        "As many instances of the task run, in this run of its DAG, as may run at once.",
        "Wait for one to end, or raise `max_active_tis_per_dagrun` of the task.",
    ),
    "pool_reserved": ReasonText(
        "The free slots of its pool are kept for a task that comes first and needs more of them.",
        "Wait until the task named has its slots, or give the pool more slots.",
    ),
    "executor_full": ReasonText(
        "The executor takes no more tasks now.",
        "Wait for one to end, or raise `core.executor_parallelism` when that limits it.",
    ),
    "awaiting_admission": ReasonText(
        "It may run and waits for the next admission.", "Start a scheduler when none is running."
    ),
    "awaiting_worker": ReasonText(
        "It has its slot and waits for a worker.",
        "Wait for a free worker, raise `worker.parallelism`, or start one with `orch up`.",
    ),
    "no_live_worker": ReasonText(
        "It has its slot, and no live worker serves its executor.", "Start one with `orch up`."
    ),
    "no_live_scheduler": ReasonText("No scheduler is alive.", "Start one with `orch up`."),
    "retry_delay": ReasonText(
        "The last try failed; the next one waits for its delay.", "Wait until that is over."
    ),
    "infrastructure_loss": ReasonText(
        "Its worker was lost; it is sent again without using a try.", "Nothing to do."
    ),
    "handed_back": ReasonText("Its worker was told to stop and handed it back.", "Nothing to do."),
    # begun
    "repeats_the_past": ReasonText(
        "Active runs wait for the date that the run repeats, so it began beyond `max_active_runs` of its DAG.",
        "Nothing to do.",
    ),
    "running": ReasonText("It is running.", "See its log with `orch task-log`."),
    # ended
    "backfill_cancelled": ReasonText(
        "Its backfill was cancelled before the run began.",
        "Make another backfill, or trigger a run of that logical date, if it is wanted after all.",
    ),
    "skipped_by_trigger_rule": ReasonText("Its trigger rule can no longer hold.", "See its upstream tasks."),
    "skipped_by_task": ReasonText("The task skipped itself.", "See its log."),
    "upstream_failed": ReasonText("A task it needs has failed.", "See the failed task's log."),
    "dagrun_timeout": ReasonText(
        "The run took longer than the `dagrun_timeout` of its DAG.",
        "Raise it, or see in the logs what took so long.",
    ),
    "fail_fast": ReasonText(
        "A task has failed, and with `fail_fast` that ends the whole run.", "See the failed task's log."
    ),
    "task_failed": ReasonText("The task raised an error.", "See its log."),
    "tries_used_up": ReasonText("The last allowed try failed.", "See its log."),
    "failed_for_good": ReasonText(
        "The task failed in a way that another try cannot mend.", "See its log, mend the cause, run again."
    ),
    "xcom_refused": ReasonText("Its result cannot be stored.", "Return less, or something JSON can hold."),
    "killed": ReasonText("Its process was killed or ended without a result.", "See its log."),
    "execution_timeout": ReasonText(
        "It ran longer than its `execution_timeout`.", "Raise it, or mend the task."
    ),
    "dag_import_failed": ReasonText(
        "Its DAG file cannot be imported.", "See its log and `orch dags errors`."
    ),
    "infra_losses_used_up": ReasonText(
        "Its worker was lost too often.", "See what ends the workers: memory, machine, orders."
    ),
}
"""Each code is made and asserted by a test (tests/integration/test_waiting.py)."""
