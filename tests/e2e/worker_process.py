"""A worker in a process of its own, on a store in memory that obeys and tells the test over its stdin and stdout."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orch.clock import system_clock
from orch.domain.dagspec import TaskSpec
from orch.domain.sources import PinRule
from orch.errors import StoreError
from orch.failpoints import Failpoints
from orch.hints import LOOK
from orch.processes import StopSignal, die_with_parent
from orch.store.engine import StoreBusy
from orch.store.execution import AttemptReport, Claimed, HeartbeatReply
from orch.store.queries.processes import ProcessInfo
from orch.worker.bundles import Bundles
from orch.worker.environment import task_environment
from orch.worker.ledger import Ledger
from orch.worker.loop import Worker
from orch.worker.options import WorkerOptions


def tell(event: str, **fields: Any) -> None:
    os.write(1, (json.dumps({"event": event, **fields}) + "\n").encode())


class MemoryExecution:
    """The protocol of `Execution` without a database: each call is told to the test."""

    def __init__(self) -> None:
        self.queue: list[Claimed] = []
        self.held: dict[tuple[int, int], Claimed] = {}
        self.xcoms: dict[str, str] = {}
        self.chain: list[Claimed] = []
        self.revoked: set[tuple[int, int]] = set()
        self.known = True
        self.errors: list[str] = []
        self.cursed: set[str] = set()
        self.quiet = False

    def register(self, info: ProcessInfo) -> None:
        tell("register", incarnation=info.incarnation)

    def release(self, incarnation: str) -> None:
        tell("release", incarnation=incarnation)

    def has_work(self, executors: Sequence[str], run_pk: int | None = None) -> bool:
        return bool(self.queue)

    def claim(
        self, incarnation: str, executors: Sequence[str], limit: int, run_pk: int | None = None
    ) -> list[Claimed]:
        claimed, self.queue = self.queue[:limit], self.queue[limit:]
        self.held.update({(one.ti_id, one.epoch): one for one in claimed})
        self._tell("claim", limit=limit, tasks=[one.task_id for one in claimed])
        return claimed

    def report(self, incarnation: str, reports: Sequence[AttemptReport]) -> list[str]:
        self._maybe_fail("report")
        if any(self._is_cursed(report) for report in reports):
            raise StoreError("the database refused a row")
        answers = []
        for report in reports:
            one = self.held.pop((report.ti_id, report.epoch), None)
            answers.append("accepted" if one is not None and one.nonce == report.nonce else "refused")
            self._tell_report(one, report, answers[-1])
            if self.chain:
                self.queue.append(self.chain.pop(0))
        return answers

    def heartbeat(
        self, incarnation: str, held: Sequence[tuple[int, int]], lease_seconds: float, grace_seconds: float
    ) -> HeartbeatReply:
        self._maybe_fail("heartbeat")
        if not self.known:
            return HeartbeatReply(tuple(held), known=False)
        return HeartbeatReply(tuple(key for key in held if key in self.revoked))

    def hand_back(self, incarnation: str, keys: Sequence[tuple[int, int, str]]) -> None:
        names = [self.held.pop((ti_id, epoch)).task_id for ti_id, epoch, _ in keys]
        self._tell("hand_back", tasks=names)

    def lost(self, incarnation: str, keys: Sequence[tuple[int, int, str]]) -> None:
        names = [self.held.pop((ti_id, epoch)).task_id for ti_id, epoch, _ in keys]
        self._tell("lost", tasks=names)

    def xcom(self, run_pk: int, task_id: str, key: str, map_index: int = -1) -> str | None:
        self._maybe_fail("xcom")
        return self.xcoms.get(f"{task_id}.{key}")

    def bundle_files(self, bundle: str) -> dict[str, str] | None:
        return None

    def blobs(self, hashes: Sequence[str]) -> dict[str, bytes]:
        return {}

    def bundles_in_use(self) -> set[str]:
        return set()

    def scheduler_addresses(self) -> list[str]:
        return []

    def _is_cursed(self, report: AttemptReport) -> bool:
        one = self.held.get((report.ti_id, report.epoch))
        return one is not None and one.task_id in self.cursed and bool(report.outcome.xcoms)

    def _maybe_fail(self, what: str) -> None:
        if what in self.errors:
            self.errors.remove(what)
            self._tell("failed", what=what)
            raise StoreBusy

    def _tell_report(self, one: Claimed | None, report: AttemptReport, answer: str) -> None:
        outcome = report.outcome
        self._tell(
            "report",
            task=one.task_id if one else None,
            answer=answer,
            kind=outcome.kind,
            error=outcome.error,
            reason=outcome.reason,
            retryable=outcome.retryable,
            exit=report.exit,
            log=report.log_path,
            xcoms=[(key, value[:100]) for key, value in outcome.xcoms],
            started_at=outcome.started_at.timestamp(),
            ended_at=outcome.ended_at.timestamp(),
        )

    def _tell(self, event: str, **fields: Any) -> None:
        if not self.quiet or event != "claim":
            tell(event, **fields)


class Orders:
    """The hint socket of this worker: the test's orders come in place of hints."""

    def __init__(self, execution: MemoryExecution) -> None:
        self._execution = execution
        self._rest = b""
        os.set_blocking(0, False)

    def fileno(self) -> int:
        return 0

    def take(self) -> set[bytes]:
        data = os.read(0, 1 << 20)
        if not data:
            os._exit(3)  # the test has ended
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))
        return {LOOK}

    def _obey(self, order: dict[str, Any]) -> None:
        execution = self._execution
        execution.queue += [claimed(**task) for task in order.get("queue", ())]
        execution.chain += [claimed(**task) for task in order.get("chain", ())]
        execution.xcoms.update(order.get("xcoms", {}))
        execution.revoked |= {(ti_id, 1) for ti_id in order.get("revoke", ())}
        execution.cursed |= set(order.get("cursed", ()))
        execution.errors += order.get("errors", [])
        execution.known = order.get("known", execution.known)
        execution.quiet = order.get("quiet", execution.quiet)


def claimed(
    ti_id: int,
    task_id: str,
    dag_file: str,
    timeout: float | None = None,
    inputs: Sequence[tuple[str, str, int, str | None]] = (),
    inputs_left_out: bool = False,
    source_rev: str = "rev",
    isolation: str | None = None,
) -> Claimed:
    return Claimed(
        ti_id=ti_id,
        epoch=1,
        nonce=f"{ti_id:032x}",
        run_pk=1,
        dag_id="flow",
        run_id="manual__1",
        run_type="manual",
        task_id=task_id,
        map_index=-1,
        try_number=1,
        max_tries=1,
        logical_date=None,
        data_interval_start=None,
        data_interval_end=None,
        run_after=system_clock(),
        conf={},
        dag_file=dag_file,
        dag_version_id=1,
        source_rev=source_rev,
        spec=TaskSpec(task_id, "PythonOperator", execution_timeout_seconds=timeout, isolation=isolation),
        inputs=tuple(tuple(item) for item in inputs),  # type: ignore[misc]  # JSON has only lists
        inputs_left_out=inputs_left_out,
    )


def main() -> None:
    die_with_parent(int(sys.argv[1]))
    raw = json.loads(sys.argv[2])
    for name in ("dags_folder", "logs_folder"):
        raw[name] = Path(raw[name])
    raw["bundles_folder"] = raw["logs_folder"] / "bundles"
    options = WorkerOptions(executors=("LocalExecutor",), **raw)
    execution = MemoryExecution()
    stop = StopSignal()
    ledger = Ledger(execution, "worker-test", options)
    bundles = Bundles(options.bundles_folder, options.dags_folder, PinRule(), execution, Failpoints())
    Worker(options, ledger, bundles, Orders(execution), stop, task_environment(os.environ)).run()


if __name__ == "__main__":
    main()
