"""The executors of this machine: its worker claims from the database, so sending is only a wake-up."""

from collections.abc import Sequence

from orch.hookspecs import AttemptKey, BaseExecutor, Dispatch


class LocalExecutor(BaseExecutor):
    """Task processes under the worker of this machine."""

    name = "LocalExecutor"

    def send(self, items: Sequence[Dispatch]) -> None:
        """Wake the worker; what it is to run stands in the database already."""
        if items:
            self.context.hint()

    def cancel(self, items: Sequence[AttemptKey]) -> None:
        """Wake the worker, which learns from its next heartbeat what was taken from it."""
        if items:
            self.context.hint()

    def inventory(self) -> None:
        """Say that the database is the inventory: nothing is held anywhere else that could be lost."""

    def capacity(self) -> None:
        """Say that there is no limit: what the worker has no room for waits in the database."""


class SequentialExecutor(LocalExecutor):
    """The same with one task process at a time; the number stands in its `ExecutorSpec`."""

    name = "SequentialExecutor"
