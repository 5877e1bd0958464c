"""Every trigger rule and the end state it gives: `orch run trigger_rules`, then `orch show trigger_rules`.

A trigger rule is the condition on its upstream tasks under which a task runs. Four tasks set the scene:
`good` and `fine` succeed, `bad` fails, `idle` skips itself. Each row of CASES hangs one task with one rule
below some of them. The run as a whole ends failed, because some of its last tasks do not end well.
"""

from datetime import datetime

from orch import DAG, Skip, task
from orch_standard import EmptyOperator

SCENE = {"good": "success", "fine": "success", "bad": "failed", "idle": "skipped"}

CASES = [
    # task id, its trigger rule, its upstream tasks, the state it ends in
    ("all_success_met", "all_success", ["good", "fine"], "success"),
    ("all_success_failed", "all_success", ["good", "bad"], "upstream_failed"),
    ("all_success_skipped", "all_success", ["good", "idle"], "skipped"),
    ("all_failed_met", "all_failed", ["bad"], "success"),
    ("all_failed_not", "all_failed", ["good", "bad"], "skipped"),
    ("all_done_met", "all_done", ["good", "bad", "idle"], "success"),
    ("all_done_min_one_success_met", "all_done_min_one_success", ["good", "bad"], "success"),
    ("all_done_min_one_success_not", "all_done_min_one_success", ["bad", "idle"], "upstream_failed"),
    ("all_done_setup_success_met", "all_done_setup_success", ["good", "bad"], "success"),
    ("all_skipped_met", "all_skipped", ["idle"], "success"),
    ("all_skipped_not", "all_skipped", ["good", "idle"], "skipped"),
    ("one_success_met", "one_success", ["good", "bad"], "success"),
    ("one_success_not", "one_success", ["bad", "idle"], "upstream_failed"),
    ("one_failed_met", "one_failed", ["good", "bad"], "success"),
    ("one_failed_not", "one_failed", ["good", "idle"], "skipped"),
    ("one_done_met", "one_done", ["bad", "idle"], "success"),
    ("one_done_not", "one_done", ["idle"], "skipped"),
    ("none_failed_met", "none_failed", ["good", "idle"], "success"),
    ("none_failed_not", "none_failed", ["good", "bad"], "upstream_failed"),
    ("none_failed_min_one_success_met", "none_failed_min_one_success", ["good", "idle"], "success"),
    ("none_failed_min_one_success_not", "none_failed_min_one_success", ["idle"], "skipped"),
    ("none_skipped_met", "none_skipped", ["good", "bad"], "success"),
    ("none_skipped_not", "none_skipped", ["good", "idle"], "skipped"),
    ("always_met", "always", ["bad", "idle"], "success"),
]

EXPECTED = SCENE | {task_id: state for task_id, _, _, state in CASES}


@task
def bad() -> None:
    """Fail."""
    raise RuntimeError("failed on purpose")


@task
def idle() -> None:
    """Skip this task: there is nothing to do."""
    raise Skip("nothing to do today")


with DAG("trigger_rules", schedule=None, start_date=datetime(2024, 1, 1), catchup=False, tags=["example"]):
    scene = {
        "good": EmptyOperator(task_id="good"),
        "fine": EmptyOperator(task_id="fine"),
        "bad": bad(),
        "idle": idle(),
    }
    for task_id, rule, upstream, _ in CASES:
        [scene[name] for name in upstream] >> EmptyOperator(task_id=task_id, trigger_rule=rule)
