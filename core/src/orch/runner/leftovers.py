"""Leftovers: what a task has left behind in its process that nobody can put back, so that the process must end."""

import os
import threading
from collections.abc import Container
from contextlib import suppress


class Leftovers:
    """Looks for what was not there when this was made. Single-threaded processes only."""

    def __init__(self, ignored_fds: Container[int]) -> None:
        """`ignored_fds` are those that change from task to task: the pipes."""
        self._ignored = ignored_fds
        self._threads = _threads()
        self._had_children = _has_children()
        self._fds = _descriptors(ignored_fds)
        self._open = _open_descriptors()
        self._first_rss: int | None = None

    def found(self, growth_bytes: int) -> str | None:
        """Return what was left, in words, or None. The first call takes the memory of now as the measure."""
        if (more := _threads() - self._threads) > 0:
            return f"{more} threads"
        if not self._had_children and _has_children():
            return "child processes"
        if not self._has_same_descriptors():
            return "open or closed file descriptors"
        rss = resident_bytes()
        if self._first_rss is None:
            self._first_rss = rss
        if rss - self._first_rss > growth_bytes:
            return f"{(rss - self._first_rss) // 1_048_576} MiB of memory"
        return None

    def _has_same_descriptors(self) -> bool:
        if self._open and _open_descriptors() != self._open:
            return False
        if not self._open:
            return _descriptors(self._ignored) == self._fds
        try:
            return all(_identity(fd) == identity for fd, identity in self._fds.items())
        except OSError:
            return False


def resident_bytes() -> int:
    """Return the memory of this process; 0 without /proc."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123  # half the cost of Path
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return 0


_PAGE = os.sysconf("SC_PAGE_SIZE")


def _threads() -> int:
    """Count all threads, those of libraries too."""
    try:
        return os.stat("/proc/self/task").st_nlink - 2  # noqa: PTH116  # a tenth of the cost of listing it
    except OSError:
        return threading.active_count()


def _has_children() -> bool:
    """Tell whether there is any child, living or dead; orphans of children are children of a subreaper."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _open_descriptors() -> int:
    """Count them; 0 where the system does not say (Linux does since 6.2)."""
    try:
        return os.stat("/proc/self/fd").st_size  # noqa: PTH116  # as above
    except OSError:
        return 0


def _descriptors(ignored: Container[int]) -> dict[int, tuple[int, int]]:
    """Return each open descriptor and what it leads to."""
    found = {}
    for fd in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208  # as above
        if fd not in ignored:
            with suppress(OSError):  # the descriptor of this very listing
                found[fd] = _identity(fd)
    return found


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
