"""Executors: they carry queued attempts to where they run, and decide nothing."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orch.errors import OrchError
from orch.hookspecs.markers import hookspec


class ExecutorStateError(OrchError):
    """The executor is used before its start or after its stop."""


class AttemptKey(NamedTuple):
    """Names one attempt: a task instance and the epoch that grants the right to run it."""

    ti_id: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One queued attempt to carry. A copy may be sent again; the claim lets only one of them run."""

    ti_id: int
    epoch: int
    queue: str
    """Name of the queue its task asks for."""
    command: str
    """JSON text of the task command: identifiers only, never code or secrets."""

    @property
    def key(self) -> AttemptKey:
        """What the scheduler calls this attempt."""
        return AttemptKey(self.ti_id, self.epoch)


@dataclass(frozen=True, slots=True)
class Inventory:
    """What an executor holds at this moment; what it does not name is lost and will be queued anew."""

    held: frozenset[AttemptKey]
    idle_consumers: int = 0
    """Consumers that wait for work; any, while attempts stay unclaimed, means that copies were lost."""


@dataclass(frozen=True, slots=True)
class ExecutorContext:
    """What core gives an executor at its start."""

    hint: Callable[[], None]
    """Wakes the workers that claim from the database. Cheap, never raises; the hint may be lost."""
    parallelism: int
    """Attempts that the local worker runs at once."""


class BaseExecutor(ABC):
    """The executor contract; `orch.testing.executors.ExecutorContract` is the same in tests.

    A life is: made, started once, used, stopped. One thread of the scheduler calls all methods, outside of
    any transaction, so none may block for longer than a second. A lost or doubled dispatch is no error: the
    scheduler sends again and the claim sorts copies out.
    """

    name: str
    """Name in the settings and in `executor=` of tasks; equals the name of its `ExecutorSpec`."""

    _context: ExecutorContext | None = None
    _stopped = False

    @property
    def context(self) -> ExecutorContext:
        """What `start` was given; ExecutorStateError before the start and after the stop."""
        if self._context is None:
            state = "stopped" if self._stopped else "not started"
            raise ExecutorStateError(f"executor {self.name!r} is {state}; start a new one before using it")
        return self._context

    def start(self, context: ExecutorContext) -> None:
        """Be ready to send; a second start raises ExecutorStateError. An override calls this one first."""
        if self._context is not None or self._stopped:
            state = "stopped already" if self._stopped else "running already"
            raise ExecutorStateError(f"executor {self.name!r} is {state}; make a new one instead")
        self._context = context

    @abstractmethod
    def send(self, items: Sequence[Dispatch]) -> None:
        """Hand these attempts over and wake whoever runs them; an empty batch does nothing at all.

        Called after the commit that queued them. Sending the same attempt again is allowed and harmless.
        When this raises, the whole batch counts as unsent and comes again.
        """

    @abstractmethod
    def cancel(self, items: Sequence[AttemptKey]) -> None:
        """Try to take these attempts back; unknown and finished ones are ignored.

        The database has refused them already, so an executor that can do nothing returns.
        """

    @abstractmethod
    def inventory(self) -> Inventory | None:
        """Return what it holds; None says that the database itself is the inventory."""

    @abstractmethod
    def capacity(self) -> int | None:
        """Return how many more attempts it would take now; None says that it has no limit of its own."""

    def log_hint(self, key: AttemptKey) -> str | None:  # noqa: ARG002  # for those who override it
        """Return where a person finds more output of this attempt: an address, a command, or None."""
        return None

    def stop(self) -> None:
        """Let go of every connection; attempts that are under way go on. A second stop does nothing."""
        self._context = None
        self._stopped = True


@dataclass(frozen=True, slots=True)
class ExecutorSpec:
    """One executor of a plugin."""

    name: str
    factory: Callable[[], BaseExecutor]
    """Makes one that is not started; imports what is heavy."""
    needs_local_worker: bool = False
    """True when its attempts are run by the worker of this host."""
    parallelism: Callable[[int], int] | None = None
    """From `worker.parallelism` of the settings to the number in force; None leaves it as it is."""
    description: str = ""

    def effective_parallelism(self, configured: int) -> int:
        """Return how many attempts the local worker runs at once under this executor."""
        return configured if self.parallelism is None else self.parallelism(configured)


@hookspec
def register_executors() -> Sequence[ExecutorSpec]:
    """Name the executors that this plugin brings.

    A name that two plugins bring is an error that names both.

    Kind: collecting
    Caller: every process that loads plugins
    Moment: once, at boot
    Transaction: none
    Thread: the main thread
    Since: 0.1
    """
    return ()
