"""Task streams: what tasks in parallel threads print comes line by line, each with the name of its task."""

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, ClassVar, TextIO


class TaskStreams:
    """While it is open, `sys.stdout` and `sys.stderr` are stand-ins that know which thread runs which task.

    Output of other threads passes as it is; so do bytes written to `sys.stdout.buffer` and what child processes
    write themselves. Several may be open at once, and may be closed in any order.
    """

    _swapping: ClassVar = threading.Lock()
    """One for the process, as the streams are."""

    def __init__(self) -> None:
        # Reentrant, and apart from the order of locks: a destructor may print in the middle of our own write.
        self._lock = threading.RLock()
        self._here = threading.local()
        self._swapped: list[tuple[str, _StandIn]] = []

    def __enter__(self) -> "TaskStreams":
        with self._swapping:
            for name in ("stdout", "stderr"):
                stand_in = _StandIn(getattr(sys, name), self._lock, self._here)
                self._swapped.append((name, stand_in))
                setattr(sys, name, stand_in)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._swapping:
            for name, stand_in in self._swapped:
                stand_in.is_over = True  # it stays where somebody else has put his own before it
                setattr(sys, name, _without_those_over(getattr(sys, name)))

    @contextmanager
    def of(self, task_id: str) -> Iterator[None]:
        """Mark what this thread prints inside the block as the task's; an unfinished line is finished at its end."""
        self._here.prefix = f"{task_id} | "
        try:
            yield
        finally:
            for _, stand_in in self._swapped:
                stand_in.finish_line()
            del self._here.prefix


class _StandIn(io.TextIOBase):
    """Passes on whole lines under the task's name; everything else about it is its target's."""

    def __init__(self, target: TextIO, lock: "threading.RLock", here: threading.local) -> None:
        self.target = target
        self.is_over = False
        """Whoever has put it there is done with it."""
        self._lock = lock
        self._here = here
        self._begun: dict[int, str] = {}
        """The unfinished line of each thread."""

    def write(self, text: str) -> int:
        prefix: str | None = getattr(self._here, "prefix", None)
        if prefix is None:
            return self.target.write(text)
        me = threading.get_ident()
        *lines, rest = (self._begun.pop(me, "") + text).split("\n")
        if rest:
            self._begun[me] = rest
        if lines:
            self._print("".join(f"{prefix}{line}\n" for line in lines))
        return len(text)

    def finish_line(self) -> None:
        if rest := self._begun.pop(threading.get_ident(), ""):
            self._print(f"{self._here.prefix}{rest}\n")

    def flush(self) -> None:
        self.target.flush()

    def close(self) -> None:
        """Do nothing: the target is not ours to close, also when this object is garbage."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # TextIOBase has an attribute there, which is None
        return self.target.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]  # the same
        return self.target.errors

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self.target.isatty()

    def fileno(self) -> int:
        return self.target.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)

    def _print(self, text: str) -> None:
        with self._lock:
            self.target.write(text)
            self.target.flush()


def _without_those_over(stream: Any) -> Any:
    """Return the stream without the stand-ins on its way that are over: some may be behind one that is not."""
    while isinstance(stream, _StandIn) and stream.is_over:
        stream = stream.target
    if isinstance(stream, _StandIn):
        stream.target = _without_those_over(stream.target)
    return stream
