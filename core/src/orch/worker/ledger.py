"""The ledger: what the worker owes to the store, kept until the store has it, however often that fails."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from orch.clock import monotonic, system_clock
from orch.errors import OrchError, StoreError
from orch.runner.outcome import Outcome
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
    """How often it was refused for its content, alone."""
    is_suspect: bool = False
    """True once a batch with it was refused for its content."""
    pause: Backoff = field(default_factory=Backoff)
    """Its own, so that neither other reports nor claims and heartbeats wait for it."""


class Ledger:
    """The worker's half of every transaction. No method raises because of the store; what failed is tried again."""

    def __init__(self, execution: ExecutionApi, incarnation: str, options: WorkerOptions) -> None:
        self._execution = execution
        self._incarnation = incarnation
        self._options = options
        self._backoff = Backoff()
        self._reports: list[_Owed] = []
        self._returns: list[tuple[int, int, str]] = []
        self._losses: list[tuple[int, int, str]] = []
        self._questions: list[tuple[Attempt, dict[str, Any]]] = []

    @property
    def retry_at(self) -> float | None:
        """When the store is tried again; None while it works."""
        return self._backoff.until

    @property
    def is_settled(self) -> bool:
        """True when the store has all reports and everything that was handed back or lost."""
        return not self._reports and not self._returns and not self._losses

    @property
    def is_failing(self) -> bool:
        """True when the store is out of reach, or refuses a report."""
        return self._backoff.until is not None or any(owed.failures for owed in self._reports)

    def settle_at(self, now: float) -> float:
        """Return when `settle` has something for the store, were it within reach; infinite when all is settled."""
        if self._returns or self._losses:
            return now
        return min((owed.pause.until or now for owed in self._reports), default=math.inf)

    def owe_report(self, report: AttemptReport) -> None:
        """Take a report into the next batch."""
        self._reports.append(_Owed(report))

    def owe_return(self, attempt: Attempt) -> None:
        """Take an attempt that is handed back into the next batch."""
        mine = attempt.claimed
        self._returns.append((mine.ti_id, mine.epoch, mine.nonce))

    def owe_loss(self, attempt: Attempt) -> None:
        """Take an attempt that has ended with its host into the next batch."""
        mine = attempt.claimed
        self._losses.append((mine.ti_id, mine.epoch, mine.nonce))

    def owe_answer(self, attempt: Attempt, question: dict[str, Any]) -> None:
        """Take a question of a task process into the next batch."""
        self._questions.append((attempt, question))

    def unsettled_keys(self) -> list[tuple[int, int]]:
        """Return the attempts that have ended here but not yet in the store."""
        owed = [(owed.report.ti_id, owed.report.epoch) for owed in self._reports]
        return owed + [(ti_id, epoch) for ti_id, epoch, _ in [*self._returns, *self._losses]]

    def settle(self) -> bool:
        """Give the store what it is owed, in few transactions; return whether it took anything."""
        took = self._settle_reports()
        if self._returns and self._try("hand back", self._hand_back):
            took = True
        if self._losses and self._try("give back what a dead host ran", self._give_back_lost):
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
        while batch := self._next_batch():
            stored = self._value("report", partial(self._report, batch))
            if stored is None:
                break
            took = took or stored
        return took

    def _next_batch(self) -> list[_Owed]:
        """Return all reports that may go together, or else a suspect whose pause is over, alone."""
        now = monotonic()
        suspects = [owed for owed in self._reports if owed.is_suspect and owed.pause.allows(now)]
        return [owed for owed in self._reports if not owed.is_suspect] or suspects[:1]

    def _report(self, batch: Sequence[_Owed]) -> bool:
        """Return whether the store has taken them; False when it refuses what is in one of them."""
        try:
            answers = self._execution.report(self._incarnation, [owed.report for owed in batch])
        except Exception as error:
            if not _is_about_content(error):
                raise
            self._refused(batch, error)
            return False
        for owed, answer in zip(batch, answers, strict=True):
            self._reports.remove(owed)
            if answer == REFUSED:
                log.warning("the report of task instance %d came too late and was refused", owed.report.ti_id)
        return True

    def _refused(self, batch: Sequence[_Owed], error: Exception) -> None:
        """Find out which report it is that cannot be stored, and let none wait for it."""
        if len(batch) > 1:
            for owed in batch:
                owed.is_suspect = True
            return
        (owed,) = batch
        owed.is_suspect = True
        owed.failures += 1
        pause = owed.pause.failed(monotonic())
        words = "cannot store the report of task instance %d, trying again in %.1f s: %s: %s"
        log.warning(words, owed.report.ti_id, pause, type(error).__name__, error)
        if owed.failures == UNSTORABLE_AFTER:
            owed.report = _unstorable(owed.report)

    def _hand_back(self) -> None:
        self._execution.hand_back(self._incarnation, list(self._returns))
        self._returns.clear()

    def _give_back_lost(self) -> None:
        self._execution.lost(self._incarnation, list(self._losses))
        self._losses.clear()

    def _answer_one(self) -> None:
        attempt, question = self._questions[0]
        value = None
        if attempt.process is not None:
            value = self._execution.xcom(
                attempt.claimed.run_pk,
                question["task_id"],
                question["key"],
                question.get("map_index", -1),
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
    """Return a report of the same attempt in which nothing comes from its task process."""
    now = system_clock()
    failed = Outcome(
        kind="failed",
        started_at=now,
        ended_at=now,
        error="its result was refused by the database; see the worker's log",
        retryable=False,
        reason="xcom_refused",
    )
    return replace(report, outcome=failed, exit=None, log_path=None)
