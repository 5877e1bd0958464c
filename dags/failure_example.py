"""What happens around a failed task: `uv run orch run failure_example` ends with exit code 1, as it should.

extract -> transform -> load -> publish      transform fails; load and publish become upstream_failed
               |          |
               |          +---> cleanup      all_done: runs when everything before it has ended, well or not
               +--------------> alert        one_failed: runs as soon as something before it has failed
"""

from datetime import datetime

from orch import DAG, Fail, task
from orch_standard import BashOperator, EmptyOperator

EXPECTED = {
    "extract": "success",
    "transform": "failed",
    "load": "upstream_failed",
    "publish": "upstream_failed",
    "cleanup": "success",
    "alert": "success",
}


@task(retries=3)
def transform() -> None:
    """Fail for good: `Fail` says that trying again cannot help, so the three retries stay unused."""
    raise Fail("column 'amount' is missing; ask the owner of the export")


with DAG("failure_example", schedule=None, start_date=datetime(2024, 1, 1), catchup=False, tags=["example"]):
    transformed = transform()
    load = EmptyOperator(task_id="load")
    publish = EmptyOperator(task_id="publish")
    cleanup = BashOperator(
        task_id="cleanup",
        bash_command='echo "removing the scratch files of run $ORCH_RUN_ID"',
        trigger_rule="all_done",
    )
    alert = BashOperator(
        task_id="alert",
        bash_command='echo "$ORCH_DAG_ID failed in run $ORCH_RUN_ID; somebody should look"',
        trigger_rule="one_failed",
    )
    EmptyOperator(task_id="extract") >> transformed >> load >> publish
    load >> cleanup
    transformed >> alert
