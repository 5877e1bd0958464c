"""The ledger: what the worker owes to the store, kept until the store has it, however often that fails."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from orch.clock import monotonic
from orch.errors import OrchError, StoreError
from orch.store.execution import REFUSED, AttemptReport, Claimed, HeartbeatReply
from orch.store.queries.processes import ProcessInfo
from orch.worker.attempt import Attempt
from orch.worker.backoff import Backoff
from orch.worker.execution_api import ExecutionApi
from orch.worker.options import WorkerOptions

log = logging.getLogger("orch.worker")

T = TypeVar("T")

UNSTORABLE_AFTER = 5
"""Failures of one report alone, for a reason in its content, until its failure is reported in its place."""


@dataclass
class _Owed:
    report: AttemptReport
    failures: int = 0


class Ledger:
    """The worker's half of every transaction. No method raises because of the store; what failed is tried again."""

    def __init__(self, execution: ExecutionApi, incarnation: str, options: WorkerOptions) -> None:
        self._execution = execution
        self._incarnation = incarnation
        self._options = options
        self._backoff = Backoff()
        self._reports: deque[_Owed] = deque()
        self._one_by_one = False
        self._returns: list[tuple[int, int, str]] = []
        self._questions: list[tuple[Attempt, dict[str, Any]]] = []

    @property
    def retry_at(self) -> float | None:
        """When the store is tried again; None while it works."""
        return self._backoff.until

    @property
    def is_settled(self) -> bool:
        """True when the store has all reports and everything that was handed back."""
        return not self._reports and not self._returns

    def owe_report(self, report: AttemptReport) -> None:
        """Take a report into the next batch."""
        self._reports.append(_Owed(report))

    def owe_return(self, attempt: Attempt) -> None:
        """Take an attempt that is handed back into the next batch."""
        mine = attempt.claimed
        self._returns.append((mine.ti_id, mine.epoch, mine.nonce))

    def owe_answer(self, attempt: Attempt, question: dict[str, Any]) -> None:
        """Take a question of a task process into the next batch."""
        self._questions.append((attempt, question))

    def unsettled_keys(self) -> list[tuple[int, int]]:
        """Return the attempts that have ended here but not yet in the store."""
        owed = [(owed.report.ti_id, owed.report.epoch) for owed in self._reports]
        return owed + [(ti_id, epoch) for ti_id, epoch, _ in self._returns]

    def settle(self) -> bool:
        """Give the store what it is owed, in few transactions; return whether it took a report or a return."""
        took = self._settle_reports()
        if self._returns and self._try("hand back", self._hand_back):
            took = True
        while self._questions and self._try("read an XCom", self._answer_one):
            continue
        return took

    def heartbeat(self, held: Sequence[tuple[int, int]]) -> HeartbeatReply | None:
        """Renew the lease; None when the store could not be reached."""
        options = self._options
        return self._value(
            "heartbeat",
            lambda: self._execution.heartbeat(
                self._incarnation, held, options.lease_seconds, options.grace_seconds
            ),
        )

    def claim(self, limit: int) -> list[Claimed] | None:
        """Claim up to `limit` attempts; None when the store could not be reached."""
        return self._value("claim", lambda: self._claim(limit))

    def addresses(self) -> list[str]:
        """Return where schedulers listen; empty when the store could not be reached."""
        return self._value("read the schedulers' addresses", self._execution.scheduler_addresses) or []

    def register(self, info: ProcessInfo) -> bool:
        """Make this incarnation known; return whether the store knows it now."""
        return self._try("register", lambda: self._execution.register(info))

    def release(self) -> bool:
        """End this incarnation; return whether the store knows it now."""
        return self._try("release", lambda: self._execution.release(self._incarnation))

    def _claim(self, limit: int) -> list[Claimed]:
        executors, run_pk = self._options.executors, self._options.scope_run_pk
        if not self._execution.has_work(executors, run_pk):
            return []
        return self._execution.claim(self._incarnation, executors, limit, run_pk)

    def _settle_reports(self) -> bool:
        took = False
        while self._reports and self._backoff.allows(monotonic()):
            batch = [self._reports[0]] if self._one_by_one else list(self._reports)
            if self._try("report", partial(self._report, batch)):
                took = True
            else:
                self._after_failed_batch(batch)
                break
        if not self._reports:
            self._one_by_one = False
        return took

    def _report(self, batch: Sequence[_Owed]) -> None:
        reports = [owed.report for owed in batch]
        try:
            answers = self._execution.report(self._incarnation, reports)
        except Exception as error:
            if _is_about_content(error):
                for owed in batch:
                    owed.failures += 1
            raise
        for owed, answer in zip(batch, answers, strict=True):
            self._reports.remove(owed)
            if answer == REFUSED:
                log.warning("the report of task instance %d came too late and was refused", owed.report.ti_id)

    def _after_failed_batch(self, batch: Sequence[_Owed]) -> None:
        """Find out which report it is that cannot be stored, and let none wait for it."""
        if not any(owed.failures for owed in batch):
            return
        self._one_by_one = True
        self._reports.rotate(-1)
        if len(batch) == 1 and batch[0].failures >= UNSTORABLE_AFTER:
            batch[0].report = _unstorable(batch[0].report)

    def _hand_back(self) -> None:
        self._execution.hand_back(self._incarnation, list(self._returns))
        self._returns.clear()

    def _answer_one(self) -> None:
        attempt, question = self._questions[0]
        value = None
        if attempt.process is not None:
            value = self._execution.xcom(
                attempt.claimed.run_pk,
                str(question.get("task_id")),
                str(question.get("key")),
                int(question.get("map_index", -1)),
            )
            attempt.process.answer(question, value)
        del self._questions[0]

    def _try(self, what: str, work: Callable[[], None]) -> bool:
        """Return whether the store has taken it."""

        def taken() -> bool:
            work()
            return True

        return self._value(what, taken) is True

    def _value(self, what: str, work: Callable[[], T]) -> T | None:
        """Return what `work` returns, or None when it fails or a pause after a failure is not over."""
        now = monotonic()
        if not self._backoff.allows(now):
            return None
        try:
            value = work()
        except Exception as error:  # whatever the store raises, the tasks of this worker go on
            pause = self._backoff.failed(monotonic())
            log.warning("cannot %s, trying again in %.1f s: %s: %s", what, pause, type(error).__name__, error)
            return None
        self._backoff.succeeded()
        return value


def _is_about_content(error: Exception) -> bool:
    """Tell a value that the database refuses from a database that cannot be used: its errors have own classes."""
    return type(error) is StoreError or not isinstance(error, OrchError)


def _unstorable(report: AttemptReport) -> AttemptReport:
    sentence = "its result was refused by the database; see the worker's log"
    failed = replace(
        report.outcome,
        kind="failed",
        error=sentence,
        traceback=None,
        retryable=False,
        reason="xcom_refused",
        xcoms=(),
    )
    return replace(report, outcome=failed)
