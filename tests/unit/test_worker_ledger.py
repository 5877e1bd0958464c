"""The ledger: what one report does to the others, to claims and to heartbeats when the store refuses it."""

import select
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from orch.clock import monotonic
from orch.errors import StoreError
from orch.runner.outcome import Outcome
from orch.store.engine import StoreUnavailable
from orch.store.execution import AttemptReport, Claimed, HeartbeatReply
from orch.store.queries.processes import ProcessInfo
from orch.worker.ledger import UNSTORABLE_AFTER, Ledger
from orch.worker.options import WorkerOptions

BAD, GOOD = 13, 1
NAIVE = datetime(2024, 1, 1)  # a stamp that breaks whoever reckons with it


class Recording:
    """A store that refuses everything of one task instance that has an odd stamp, and remembers the rest."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.stored: list[AttemptReport] = []
        self.refusals = 0

    def register(self, info: ProcessInfo) -> None: ...

    def release(self, incarnation: str) -> None: ...

    def has_work(self, executors: Sequence[str], run_pk: int | None = None) -> bool:
        return False

    def claim(
        self, incarnation: str, executors: Sequence[str], limit: int, run_pk: int | None = None
    ) -> list[Claimed]:
        return []

    def report(self, incarnation: str, reports: Sequence[AttemptReport]) -> list[str]:
        if any(report.outcome.started_at.tzinfo is None for report in reports):
            self.refusals += 1
            raise self.error
        self.stored += reports
        return ["accepted"] * len(reports)

    def heartbeat(
        self, incarnation: str, held: Sequence[tuple[int, int]], lease_seconds: float, grace_seconds: float
    ) -> HeartbeatReply:
        return HeartbeatReply()

    def hand_back(self, incarnation: str, keys: Sequence[tuple[int, int, str]]) -> None: ...

    def lost(self, incarnation: str, keys: Sequence[tuple[int, int, str]]) -> None: ...

    def xcom(self, run_pk: int, task_id: str, key: str, map_index: int = -1) -> str | None:
        return None

    def bundle_files(self, bundle: str) -> dict[str, str] | None:
        return None

    def blobs(self, hashes: Sequence[str]) -> dict[str, bytes]:
        return {}

    def bundles_in_use(self) -> set[str]:
        return set()

    def scheduler_addresses(self) -> list[str]:
        return []


def ledger_on(execution: Recording, tmp_path: Path) -> Ledger:
    options = WorkerOptions(
        executors=("LocalExecutor",),
        dags_folder=tmp_path,
        bundles_folder=tmp_path,
        logs_folder=tmp_path,
        parallelism=1,
    )
    return Ledger(execution, "worker-test", options)


def report(ti_id: int) -> AttemptReport:
    at = NAIVE if ti_id == BAD else NAIVE.replace(tzinfo=UTC)
    outcome = Outcome(kind="success", started_at=at, ended_at=at, xcoms=(("k", "1"),))
    return AttemptReport(ti_id, 1, "nonce", outcome, "exit code 0", "log")


def test_a_report_that_is_refused_holds_up_no_claim_no_heartbeat_and_no_other_report(tmp_path: Path) -> None:
    execution = Recording(TypeError("naive"))
    ledger = ledger_on(execution, tmp_path)
    for ti_id in (GOOD, BAD, GOOD + 1):
        ledger.owe_report(report(ti_id))
    assert ledger.settle()
    assert [one.ti_id for one in execution.stored] == [GOOD, GOOD + 1]
    assert (ledger.claim(1), ledger.heartbeat([])) == ([], HeartbeatReply())
    assert ledger.retry_at is None
    assert ledger.settle_at(monotonic()) > monotonic()
    assert ledger.is_failing
    ledger.owe_report(report(GOOD + 2))
    assert ledger.settle()
    assert ledger.unsettled_keys() == [(BAD, 1)]


def test_what_takes_the_place_of_a_refused_report_has_nothing_of_it(tmp_path: Path) -> None:
    execution = Recording(StoreError("the database refused a value"))
    ledger = ledger_on(execution, tmp_path)
    ledger.owe_report(report(BAD))
    while not ledger.settle():
        select.select([], [], [], max(0.0, ledger.settle_at(monotonic()) - monotonic()))
    assert execution.refusals == UNSTORABLE_AFTER
    (stored,) = execution.stored
    assert (stored.ti_id, stored.epoch, stored.nonce) == (BAD, 1, "nonce")
    assert (stored.outcome.kind, stored.outcome.reason) == ("failed", "xcom_refused")
    assert (stored.outcome.xcoms, stored.exit, stored.log_path) == ((), None, None)
    assert ledger.is_settled


def test_a_store_out_of_reach_is_left_alone_for_a_while(tmp_path: Path) -> None:
    ledger = ledger_on(Recording(StoreUnavailable()), tmp_path)
    ledger.owe_report(report(BAD))
    assert not ledger.settle()
    assert ledger.retry_at is not None
    assert (ledger.claim(1), ledger.heartbeat([])) == (None, None)
