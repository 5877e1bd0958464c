"""The pipes of one attempt: its stdout and stderr, read by the worker."""

import os
from collections.abc import Callable
from functools import partial

from orch.worker.reactor import Reactor

READ_BYTES = 64 * 1024
"""Read from a pipe per event, so that one flood of output cannot starve the others."""
LAST_BYTES = 1024 * 1024
"""Read from a pipe at the end of an attempt; a task's leftover that goes on writing must not hold it up."""

OnOutput = Callable[[str, bytes], object]


class OutputPipes:
    """Two pipes. OSError when descriptors have run out, and then nothing is left open."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._readers: dict[str, int] = {}
        self.writers: list[int] = []
        """The ends for the task process, until `close_writers`."""
        self._on_output: OnOutput | None = None
        self.is_watched = False
        """True once what comes is passed on at once."""
        try:
            for stream in ("stdout", "stderr"):
                reader, writer = os.pipe2(os.O_CLOEXEC)
                self._readers[stream] = reader
                self.writers.append(writer)
                os.set_blocking(reader, False)
        except OSError:
            self.close_writers()
            self.close()
            raise

    def close_writers(self) -> None:
        """Close this process's copies of the other ends, after they were sent."""
        for writer in self.writers:
            os.close(writer)
        self.writers.clear()

    def listen(self, on_output: OnOutput) -> None:
        """Say to whom `drain` passes on what has come."""
        self._on_output = on_output

    def watch(self) -> None:
        """From now on pass on at once what comes: watching costs as much as all else about a short task's pipes."""
        if not self.is_watched:
            self.is_watched = True
            for stream, reader in self._readers.items():
                self._reactor.watch(reader, partial(self._read, stream))

    def drain(self) -> None:
        """Pass on what is in the pipes now, at most 1 MiB of each."""
        for stream in list(self._readers):
            left = LAST_BYTES
            while left > 0 and (count := self._read(stream)):
                left -= count

    def close(self) -> None:
        """Take no more output."""
        for stream in list(self._readers):
            self._close(stream)

    def _read(self, stream: str) -> int:
        if stream not in self._readers:
            return 0
        try:
            data = os.read(self._readers[stream], READ_BYTES)
        except BlockingIOError:
            return 0
        if not data:
            self._close(stream)
        elif self._on_output is not None:
            self._on_output(stream, data)
        return len(data)

    def _close(self, stream: str) -> None:
        fd = self._readers.pop(stream)
        if self.is_watched:
            self._reactor.forget(fd)
        os.close(fd)
