"""The protocol of attempts, T2 to T12, as functions from a row to a row: the same rules as in the database."""

from dataclasses import replace
from datetime import datetime

from orch.domain.dagspec import RetrySpec
from orch.domain.retries import after_failure
from orch.domain.states import Actor, TaskState
from orch.inprocess.rows import By, Instance
from orch.runner.outcome import Outcome

SCHEDULER = By(Actor.SCHEDULER, "decider")
RESCUE = By(Actor.RESCUE, "watch")
OPERATOR = By(Actor.OPERATOR, "caller")


def queued(row: Instance) -> Instance:
    """T2: it has its slots and may be claimed, under a new epoch."""
    return replace(row, state=TaskState.QUEUED, epoch=row.epoch + 1, reason="awaiting_worker")


def started(row: Instance, now: datetime) -> Instance:
    """T3: it is claimed."""
    return replace(
        row,
        state=TaskState.RUNNING,
        try_number=row.next_try,
        reason="running",
        detail=None,
        due_at=None,
        started_at=now,
        ended_at=None,
    )


def reported(row: Instance, outcome: Outcome, retry: RetrySpec, now: datetime) -> Instance:
    """T5: its holder says how it ended; a failure is tried again while tries remain."""
    ended = replace(
        row,
        due_at=None,
        reason=None,
        detail=outcome.error,
        started_at=outcome.started_at,
        ended_at=outcome.ended_at,
    )
    if outcome.kind == "success":
        return replace(ended, state=TaskState.SUCCESS)
    if outcome.kind == "skipped":
        return replace(ended, state=TaskState.SKIPPED, reason="skipped_by_task")
    verdict = after_failure(
        retry, try_number=row.try_number, max_tries=row.max_tries, retryable=outcome.retryable
    )
    if verdict.delay is None:
        return replace(ended, state=TaskState.FAILED, reason=outcome.reason or verdict.reason)
    return replace(
        ended,
        state=TaskState.UP_FOR_RETRY,
        next_try=row.try_number + 1,
        reason=verdict.reason,
        due_at=now + verdict.delay,
    )


def lost(row: Instance, limit: int) -> Instance:
    """T8: its holder is gone; it is run again without using a try, until it has been lost `limit` times."""
    gone = replace(row, epoch=row.epoch + 1, infra_losses=row.infra_losses + 1, next_try=row.try_number)
    if gone.infra_losses >= limit:
        return replace(gone, state=TaskState.FAILED, reason="infra_losses_used_up")
    return replace(gone, state=TaskState.SCHEDULED, reason="infrastructure_loss")


def revoked(row: Instance, state: TaskState, reason: str | None) -> Instance:
    """T12: the right to run it is taken away; no report under its epoch counts any more."""
    return replace(row, state=state, epoch=row.epoch + 1, reason=reason, detail=None, due_at=None)
