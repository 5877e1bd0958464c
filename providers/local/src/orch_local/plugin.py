"""What orch-local adds to orch."""

from collections.abc import Sequence

from orch.hookspecs import ExecutorSpec, hookimpl
from orch_local.executors import LocalExecutor, SequentialExecutor


@hookimpl
def register_executors() -> Sequence[ExecutorSpec]:
    """Bring the two executors of this machine."""
    return [
        ExecutorSpec(
            name=LocalExecutor.name,
            factory=LocalExecutor,
            needs_local_worker=True,
            description="Task processes on this machine, as many at once as worker.parallelism says.",
        ),
        ExecutorSpec(
            name=SequentialExecutor.name,
            factory=SequentialExecutor,
            needs_local_worker=True,
            parallelism=lambda _: 1,
            description="One task process at a time on this machine: for debugging.",
        ),
    ]
