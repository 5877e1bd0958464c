"""Signals as readable descriptors, for loops that wait with a selector; and the words for how a process ended."""

import os
import select
import signal
from collections.abc import Iterable
from types import FrameType
from typing import Any, Self


class SignalPipe:
    """Counts the given signals and makes a pipe readable, so that no signal is lost between two waits."""

    def __init__(self, signals: Iterable[signal.Signals]) -> None:
        self.count = 0
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._former: dict[signal.Signals, Any] = {n: signal.signal(n, self._caught) for n in signals}

    def fileno(self) -> int:
        """Return the descriptor that is readable from the first signal on, until `drain`."""
        return self._reader

    def drain(self) -> None:
        """Make the descriptor unreadable until the next signal; `count` stays."""
        try:
            while os.read(self._reader, 512):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """Give the signals back to their former handlers and close the pipe."""
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former.clear()
        os.close(self._reader)
        os.close(self._writer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _caught(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # signature of handlers
        self._wake()

    def _wake(self) -> None:
        self.count += 1
        try:
            os.write(self._writer, b"!")
        except BlockingIOError:
            return  # a full pipe is readable, which is all that counts


class StopSignal(SignalPipe):
    """The request to end: SIGTERM or SIGINT, or `set()` by code. `count` tells how often it was made."""

    def __init__(self, signals: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT)) -> None:
        super().__init__(signals)

    @property
    def is_set(self) -> bool:
        """True from the first request on."""
        return self.count > 0

    def set(self) -> None:
        """Make the request without a signal."""
        self._wake()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the first request, at most `timeout` seconds; return whether it has been made."""
        if not self.is_set:
            select.select([self._reader], [], [], timeout)
        return self.is_set


def describe_exit(status: int) -> str:
    """Return words for an exit code as subprocess gives it: `exit code 3`, or `signal 9 (SIGKILL)` for -9."""
    if status >= 0:
        return f"exit code {status}"
    try:
        return f"signal {-status} ({signal.Signals(-status).name})"
    except ValueError:
        return f"signal {-status}"
