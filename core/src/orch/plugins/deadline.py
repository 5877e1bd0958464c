"""The deadline: foreign code that does not come to its end is ended."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

AGAIN_SECONDS = 0.1
"""Code that catches everything hears of its deadline once more after so long."""
AT_ONCE_SECONDS = 0.000_001


class DeadlineError(BaseException):
    """The block took too long. No Exception, so that the code in it does not take it for one of its own."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise DeadlineError inside the block once it has taken so long.

    Only the main thread can be interrupted; in others nothing happens. An alarm that somebody else has set rings
    at its time, and in the block only when that comes before the deadline.
    """
    theirs, interval = signal.getitimer(signal.ITIMER_REAL)
    if threading.current_thread() is not threading.main_thread() or 0 < theirs <= seconds:
        yield
        return
    is_over = False

    def ring(*_: object) -> None:
        if not is_over:  # a bell that rings while it is being taken down
            raise DeadlineError

    began = time.monotonic()
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    try:
        yield
    finally:
        is_over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
        if theirs:
            left = theirs - (time.monotonic() - began)
            signal.setitimer(signal.ITIMER_REAL, max(left, AT_ONCE_SECONDS), interval)
