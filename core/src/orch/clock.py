"""Time: always aware UTC, injected, stored as whole microseconds since 1970."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Returns the present as an aware UTC datetime."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def system_clock() -> datetime:
    """Return the wall clock's present in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds on a clock that goes on during sleep and never steps back."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def to_micros(moment: datetime) -> int:
    """Return whole microseconds since 1970 of an aware datetime."""
    return (moment - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the aware UTC datetime of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)


def isoformat(moment: datetime | None) -> str | None:
    """Return ISO-8601 with offset and microseconds, as every JSON of orch prints it; None stays None."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")
