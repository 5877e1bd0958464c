"""Interruptions: a timeout or an order to end reaches running user code as an exception."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

TIMEOUT = "execution_timeout"
KILLED = "killed"


class Interrupted(BaseException):
    """The attempt must end. No `except Exception` of user code can swallow it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Interruption:
    """Whether and why the attempt was interrupted; true even when user code swallowed the exception."""

    reason: str | None = None
    is_over: bool = False

    def begin(self, reason: str) -> None:
        """Raise Interrupted, once, and not after the end of the block."""
        if self.reason is None and not self.is_over:
            self.reason = reason
            raise Interrupted(reason)


@contextmanager
def interruptions(timeout_seconds: float | None) -> Iterator[Interruption]:
    """Turn SIGTERM and the end of `timeout_seconds` into one Interrupted, raised in the main thread.

    Only the first of them counts: what follows it, such as `on_kill`, is not disturbed. Outside of the main
    thread nothing is installed, because signals do not reach other threads.
    """
    interruption = Interruption()
    with ExitStack() as restore:
        if threading.current_thread() is threading.main_thread():
            _install(restore, signal.SIGTERM, interruption, KILLED)
            if timeout_seconds is not None:
                _install(restore, signal.SIGALRM, interruption, TIMEOUT)
                remaining, interval = signal.setitimer(signal.ITIMER_REAL, timeout_seconds)
                restore.callback(signal.setitimer, signal.ITIMER_REAL, remaining, interval)
        try:
            yield interruption
        finally:
            interruption.is_over = True


def _install(restore: ExitStack, number: int, interruption: Interruption, reason: str) -> None:
    def handle(_signal: int, _frame: FrameType | None) -> None:
        interruption.begin(reason)

    before = signal.signal(number, handle)
    restore.callback(signal.signal, number, before)
