"""Rehearsal: a spare task process runs an attempt of nothing while it waits.

A fork shares its parent's memory and copies each page when it first touches it. Those that any attempt touches
are copied here, ahead of time: the real start comes about a millisecond sooner.
"""

from collections.abc import Mapping
from typing import Any

from orch.authoring.operator import BaseOperator
from orch.failpoints import Failpoints
from orch.runner.command import TaskCommand
from orch.runner.execute import run_attempt

_COMMAND = TaskCommand(
    ti_id=0, epoch=0, nonce="", dag_id="none", run_id="none", task_id="none", dag_file="", dags_folder=""
).to_json()


class _Nothing(BaseOperator):
    def execute(self, context: Mapping[str, Any]) -> None:
        """Do nothing."""


class _Nobody:
    def request(self, message: dict[str, Any]) -> dict[str, Any]:
        return message


def rehearse() -> None:
    """Run an attempt that has no effect and asks nobody."""
    run_attempt(TaskCommand.from_json(_COMMAND), _Nothing("none"), _Nobody(), Failpoints()).to_json()
