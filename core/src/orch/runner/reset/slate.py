"""The slate of a task process: everything that is reset, saved before the first task and wiped after each one."""

import contextvars
import gc
from collections.abc import Callable, Container
from typing import TypeVar

from orch.runner.leftovers import Leftovers
from orch.runner.reset import interpreter, log_state, streams, system
from orch.runner.reset.entry import Reset, Saved

T = TypeVar("T")

RESETS: tuple[Reset, ...] = (
    system.TIMERS,
    system.FAULTHANDLER,
    system.SIGNALS,
    system.ENVIRONMENT,
    system.WORKING_DIRECTORY,
    system.UMASK,
    system.LIMITS,
    system.SCHEDULING,
    system.IDENTITY,
    log_state.LOGGING,
    interpreter.WARNINGS,
    interpreter.IMPORT_PATH,
    interpreter.HOOKS,
    interpreter.TRACING,
    interpreter.INTERPRETER,
    interpreter.RANDOM,
    interpreter.LOCALE,
    interpreter.DECIMAL,
    interpreter.ATEXIT,
    interpreter.SOCKET,
    interpreter.EVENT_LOOP,
    interpreter.TEMPORARY_FOLDER,
    interpreter.GARBAGE,
    streams.STREAMS,
)
"""In this order: what could interrupt the rest comes first, the streams, to which the rest may write, last."""


class Slate:
    """The state of this process as it was when the slate was made."""

    def __init__(self, ignored_fds: Container[int] = ()) -> None:
        """Make one before the first task; `ignored_fds` are those that change from task to task."""
        self._saved = [Saved(entry, entry.save()) for entry in RESETS]
        gc.collect()
        self.leftovers = Leftovers(ignored_fds)
        gc.freeze()  # what was there before is not looked at again, so that a collection costs microseconds

    def run(self, function: Callable[[], T]) -> T:
        """Call it in a context of its own: context variables that it sets are gone afterwards."""
        return contextvars.copy_context().run(function)

    def wipe(self) -> None:
        """Put everything back and collect garbage; CannotReset when the process must end.

        The output of finalizers and of handlers that are dropped still goes to the old streams.
        """
        for saved in self._saved:
            saved.restore()
        gc.collect()
        streams.flush_output()
