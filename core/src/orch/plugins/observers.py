"""Observers: plugins that hear what happened; each is called alone, and none can do harm."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

FAILURES_IN_A_ROW = 10
"""After so many failures without a success, this process no longer calls the observer."""

log = logging.getLogger("orch.plugins")
Change = TypeVar("Change")


@dataclass(slots=True)
class Observer(Generic[Change]):
    """One plugin's implementation of one observing hook, and how it fares."""

    plugin: str
    hook: str
    call: Callable[[Sequence[Change]], object]
    calls: int = 0
    failures: int = 0
    failures_in_a_row: int = 0

    @property
    def is_switched_off(self) -> bool:
        """True once it has failed too often in a row."""
        return self.failures_in_a_row >= FAILURES_IN_A_ROW

    def notify(self, changes: Sequence[Change]) -> None:
        """Call it unless it is switched off; what it raises is counted and logged, never passed on."""
        if self.is_switched_off:
            return
        self.calls += 1
        try:
            self.call(changes)
        except Exception as error:  # the edge of foreign code: an observer must not stop the scheduler
            self._failed(error)
        else:
            self.failures_in_a_row = 0

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self.failures_in_a_row += 1
        log.error("plugin %r failed in %s: %s", self.plugin, self.hook, error, exc_info=error)
        if self.is_switched_off:
            log.error(
                "plugin %r is no longer called for %s by this process: %d failures in a row",
                self.plugin,
                self.hook,
                self.failures_in_a_row,
            )


def notify_all(observers: Sequence[Observer[Change]], changes: Sequence[Change]) -> None:
    """Tell every observer; an empty batch tells nobody."""
    if changes:
        for observer in observers:
            observer.notify(changes)
