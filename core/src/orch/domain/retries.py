"""Retries: whether and when a task instance is tried again after a failure."""

import zlib
from dataclasses import dataclass
from datetime import timedelta

from orch.domain.dagspec import RetrySpec

MAX_DELAY = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class NextTry:
    """The decision after a failed try: the delay until the next one, or None when there is none."""

    delay: timedelta | None
    reason: str


def after_failure(spec: RetrySpec, *, try_number: int, max_tries: int, retryable: bool) -> NextTry:
    """Decide what follows the failure of try `try_number` (1 = the first)."""
    if not retryable:
        return NextTry(None, "failed_for_good")
    if try_number >= max_tries:
        return NextTry(None, "tries_used_up" if max_tries > 1 else "task_failed")
    return NextTry(retry_delay(spec, try_number), "retry_delay")


def retry_delay(spec: RetrySpec, try_number: int) -> timedelta:
    """Return how long to wait after the failure of try `try_number`, capped by the spec and by a year."""
    cap = MAX_DELAY.total_seconds()
    if spec.max_delay_seconds is not None:
        cap = min(cap, spec.max_delay_seconds)
    try:
        seconds = spec.delay_seconds * spec.multiplier ** (try_number - 1)
    except OverflowError:
        seconds = cap
    return timedelta(seconds=max(0.0, min(seconds, cap)))


def jitter(key: str, span: timedelta) -> timedelta:
    """Return a span in [0, `span`) that depends on nothing but `key`."""
    return span * (zlib.crc32(key.encode()) / 2**32)
