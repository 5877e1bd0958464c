"""Limits on the time and memory of an import, set by the process on itself; the stem enforces the time from outside."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from orch.dagfiles.problems import ImportTimeout

_MB = 1024 * 1024
_MAPPED_PER_MB = 8 * _MB


def limit_memory(megabytes: int) -> None:
    """Let this process take so much memory more than it has now; beyond it, Python raises MemoryError.

    RLIMIT_DATA counts what can be written, so a big library that is merely mapped passes. What it does not see,
    such as shared memory, ends at eight times as much address space. No core file is written.
    """
    mapped, written = _pages()
    _set_soft(resource.RLIMIT_DATA, written + megabytes * _MB)
    _set_soft(resource.RLIMIT_AS, mapped + megabytes * _MAPPED_PER_MB)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def lift_memory_limit() -> None:
    """Take the limit back, so that there is memory to say what happened."""
    for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard, hard))


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise ImportTimeout in the block when it takes longer than this; main thread only."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise ImportTimeout("the time of the import is over")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _pages() -> tuple[int, int]:
    """Return the bytes of address space and of writable memory that this process has."""
    numbers = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(numbers[0]) * resource.getpagesize(), int(numbers[5]) * resource.getpagesize()


def _set_soft(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
