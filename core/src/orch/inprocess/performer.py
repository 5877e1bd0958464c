"""The performer: runs the code of one attempt of a real DAG in the calling thread."""

import sys
import threading
import time
from bdb import BdbQuit
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from orch.authoring.dag import DAG
from orch.authoring.operator import BaseOperator
from orch.clock import Clock
from orch.domain.run_view import TIMED_OUT
from orch.failpoints import Failpoints
from orch.inprocess.execution import Claim
from orch.inprocess.state_store import TaskStateStore
from orch.inprocess.streams import TaskStreams
from orch.runner.command import TaskCommand
from orch.runner.execute import run_attempt
from orch.runner.interrupt import TIMEOUT
from orch.runner.outcome import Outcome

_SHORTEST = 0.000_1
"""Seconds; a timer that is set to none at all never rings."""

Ready = Callable[[BaseOperator], None]
"""Is given the operator whose `execute` comes next."""

Perform = Callable[[Claim, Ready], Outcome]
"""Runs one attempt to its end; what it raises ends the run, not the attempt."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the context of every task says of the run."""

    run_id: str
    run_after: datetime
    logical_date: datetime | None = None
    conf: Mapping[str, Any] = field(default_factory=dict)


class StoreChannel:
    """Answers a task's questions from the state store."""

    def __init__(self, store: TaskStateStore) -> None:
        self._store = store

    def request(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return the XCom that is asked for."""
        return {"value": self._store.xcom(message["task_id"], message["key"])}


class Performer:
    """Runs attempts of one DAG. With `streams` tasks run in parallel threads, else in the caller's, one by one."""

    def __init__(
        self,
        dag: DAG,
        facts: RunFacts,
        store: TaskStateStore,
        clock: Clock,
        streams: TaskStreams | None,
    ) -> None:
        self._dag = dag
        self._facts = facts
        self._store = store
        self._clock = clock
        self._streams = streams

    def __call__(self, claim: Claim, ready: Ready) -> Outcome:
        """Run one attempt and return how it ended."""
        with self._output_of(claim):
            began, left = time.monotonic(), self._seconds_left()
            outcome = run_attempt(
                self._command(claim, left),
                self._dag.get_task(claim.task_id),
                StoreChannel(self._store),
                Failpoints(),
                self._clock,
                ready=ready,
                # In the caller's thread Ctrl-C and the debugger's `quit` are meant for the run.
                passing=() if self._streams else (KeyboardInterrupt, BdbQuit),
            )
            if threading.current_thread() is threading.main_thread():
                outcome = self._ended_with_run(claim, outcome, left)
            else:
                outcome = self._in_time(claim, outcome, time.monotonic() - began)
            if outcome.kind == "failed":
                _show(claim, outcome)
            return outcome

    def _output_of(self, claim: Claim) -> AbstractContextManager[None]:
        if self._streams is not None:
            return self._streams.of(claim.task_id)
        again = f" (try {claim.try_number} of {claim.max_tries})" if claim.max_tries > 1 else ""
        sys.stdout.write(f"-- {claim.task_id}{again}\n")
        sys.stdout.flush()
        return nullcontext()

    def _seconds_left(self) -> float | None:
        """Return how long the run may still go on."""
        with self._store.locked() as tables:
            deadline = tables.deadline
        return None if deadline is None else max(_SHORTEST, (deadline - self._clock()).total_seconds())

    def _ended_with_run(self, claim: Claim, outcome: Outcome, left: float | None) -> Outcome:
        """Say that it was the end of the run that interrupted the attempt, if it was."""
        limit = self._limit(claim)
        if outcome.reason != TIMEOUT or left is None or (limit is not None and limit <= left):
            return outcome
        of_run = self._store.spec.dagrun_timeout_seconds
        error = f"the run took longer than its dagrun_timeout of {of_run:g} s"
        return replace(outcome, reason=TIMED_OUT, error=error)

    def _in_time(self, claim: Claim, outcome: Outcome, seconds: float) -> Outcome:
        """Refuse what came too late where no signal could interrupt it: outside of the main thread."""
        limit = self._limit(claim)
        if limit is None or seconds <= limit:
            return outcome
        return timed_out(limit, outcome.started_at, outcome.ended_at)

    def _limit(self, claim: Claim) -> float | None:
        return self._store.spec.by_id[claim.task_id].execution_timeout_seconds

    def _command(self, claim: Claim, left: float | None) -> TaskCommand:
        facts, file = self._facts, self._dag.file or ""
        limits = [limit for limit in (self._limit(claim), left) if limit is not None]
        return TaskCommand(
            ti_id=claim.ti_id,
            epoch=claim.epoch,
            nonce=claim.nonce,
            dag_id=self._dag.dag_id,
            run_id=facts.run_id,
            task_id=claim.task_id,
            try_number=claim.try_number,
            max_tries=claim.max_tries,
            logical_date=facts.logical_date,
            data_interval_start=facts.logical_date,
            data_interval_end=facts.logical_date,
            run_after=facts.run_after,
            conf=facts.conf,
            dag_file=file,
            dags_folder=str(Path(file).parent),
            inputs=claim.inputs,
            execution_timeout_seconds=min(limits, default=None),
        )


def timed_out(limit: float, started_at: datetime, ended_at: datetime) -> Outcome:
    """Return the outcome of an attempt that did not end in time; what it would have handed over is dropped."""
    return Outcome(
        kind="failed",
        started_at=started_at,
        ended_at=max(started_at, ended_at),
        error=f"it ran longer than its execution_timeout of {limit:g} s",
        reason=TIMEOUT,
    )


def _show(claim: Claim, outcome: Outcome) -> None:
    text = outcome.traceback or ""
    verb = "was cancelled" if outcome.reason == TIMED_OUT else "failed"
    sys.stderr.write(f"{text}{claim.task_id} {verb}: {outcome.error}\n")
    sys.stderr.flush()
