"""The store as a worker sees it: a few guarded functions, each one transaction that may be repeated."""

from collections.abc import Sequence
from typing import Protocol

from orch.store.execution import AttemptReport, Claimed, HeartbeatReply
from orch.store.queries.processes import ProcessInfo


class ExecutionApi(Protocol):
    """`orch.store.execution.Execution` is the real one, and its docstrings say what holds."""

    def register(self, info: ProcessInfo) -> None:
        """Make this incarnation known, with a lease."""

    def release(self, incarnation: str) -> None:
        """End this incarnation in peace."""

    def has_work(self, executors: Sequence[str], run_pk: int | None = None) -> bool:
        """Tell whether there is anything to claim, without a lock."""
        ...

    def claim(
        self, incarnation: str, executors: Sequence[str], limit: int, run_pk: int | None = None
    ) -> list[Claimed]:
        """Take up to `limit` queued task instances."""
        ...

    def report(self, incarnation: str, reports: Sequence[AttemptReport]) -> list[str]:
        """Write outcomes; answer each with `accepted`, `repeated` or `refused`."""
        ...

    def heartbeat(
        self, incarnation: str, held: Sequence[tuple[int, int]], lease_seconds: float, grace_seconds: float
    ) -> HeartbeatReply:
        """Renew the lease and name what is held."""
        ...

    def hand_back(self, incarnation: str, keys: Sequence[tuple[int, int, str]]) -> None:
        """Give attempts back without using a try."""

    def lost(self, incarnation: str, keys: Sequence[tuple[int, int, str]]) -> None:
        """Give back attempts that ended with their host: an infrastructure loss, which uses no try."""

    def xcom(self, run_pk: int, task_id: str, key: str, map_index: int = -1) -> str | None:
        """Return a value as JSON text."""
        ...

    def bundle_files(self, bundle: str) -> dict[str, str] | None:
        """Return path -> content hash (or alias) of a stored state of the dags folder."""
        ...

    def blobs(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """Return stored contents by their hashes."""
        ...

    def bundles_in_use(self) -> set[str]:
        """Return the bundles that must stay laid out."""
        ...

    def scheduler_addresses(self) -> list[str]:
        """Return where schedulers listen for hints."""
        ...
