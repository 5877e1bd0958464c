"""The clock of one run: the wall clock, which may leap over a wait that nobody wants to sit through."""

from datetime import datetime, timedelta

from orch.clock import Clock, system_clock


class RunClock:
    """Every moment that the run reads or writes is of this clock, so that a leap keeps their order and distances."""

    def __init__(self, base: Clock = system_clock) -> None:
        self._base = base
        self._leapt = timedelta(0)

    def __call__(self) -> datetime:
        """Return the run's present."""
        return self._base() + self._leapt

    def leap_to(self, moment: datetime) -> None:
        """Make it `moment` now, unless it is later already."""
        self._leapt += max(timedelta(0), moment - self())
