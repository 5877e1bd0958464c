"""Locks with an order: taking two of them the wrong way round is an error at once, not some day a deadlock."""

import threading
from collections.abc import Callable
from enum import IntEnum
from types import TracebackType
from typing import Protocol


class Rank(IntEnum):
    """The locks of one run, in the only order in which a thread may hold several.

    The same order as in the database: the run, then its task instances. User code runs under none of them, and
    who waits on a condition of the states holds nothing else.
    """

    RUN = 1
    """The run view, and with it the right to decide."""
    STATES = 2
    """States, history, attempts and XComs."""


class Lock(Protocol):
    """What `threading.Condition` and a `with` block need of a lock."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...  # noqa: D102
    def release(self) -> None: ...  # noqa: D102
    def __enter__(self) -> bool: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


MakeLock = Callable[[Rank], Lock]


class LockOrderBroken(AssertionError):
    """A thread took a lock while it held the same one or a later one: a bug, whether or not it hangs today."""


class LockOrder:
    """Makes the locks of one run, and remembers for each thread which of them it holds."""

    def __init__(self) -> None:
        self._held = threading.local()

    def __call__(self, rank: Rank) -> "OrderedLock":
        """Return a new lock of this rank."""
        return OrderedLock(rank, self)

    @property
    def held(self) -> list[Rank]:
        """The ranks that this thread holds, in the order it took them."""
        held: list[Rank] | None = getattr(self._held, "ranks", None)
        if held is None:
            held = self._held.ranks = []
        return held


class OrderedLock:
    """A lock that is not reentrant and knows its rank."""

    def __init__(self, rank: Rank, order: LockOrder) -> None:
        self.rank = rank
        self._order = order
        self._lock = threading.Lock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; raise LockOrderBroken when this thread holds one of the same or a later rank."""
        held = self._order.held
        if held and held[-1] >= self.rank:
            raise LockOrderBroken(
                f"{threading.current_thread().name} takes {self.rank.name} while it holds {held[-1].name}; "
                f"the order is {', '.join(rank.name for rank in Rank)}"
            )
        taken = self._lock.acquire(blocking, timeout)
        if taken:
            held.append(self.rank)
        return taken

    def release(self) -> None:
        """Give the lock back."""
        self._order.held.remove(self.rank)
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _is_owned(self) -> bool:
        """Answer `threading.Condition`, which would otherwise try to take the lock a second time."""
        return self.rank in self._order.held
