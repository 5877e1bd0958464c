"""Back-off: when to try again what has failed, each time later, and never all workers at the same moment."""

import random

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 5.0


class Backoff:
    """The pause after failures in a row."""

    def __init__(self) -> None:
        self._delay = 0.0
        self._until: float | None = None

    @property
    def until(self) -> float | None:
        """When to try again; None when the last try was good."""
        return self._until

    def allows(self, now: float) -> bool:
        """Tell whether it is time for a try."""
        return self._until is None or now >= self._until

    def failed(self, now: float) -> float:
        """Note a failure; return the pause in seconds: twice the last one, at most 5 s, less up to a half of it."""
        self._delay = min(max(self._delay * 2, FIRST_SECONDS), LONGEST_SECONDS)
        pause = self._delay * random.uniform(0.5, 1.0)  # noqa: S311  # spreads the load, keeps no secret
        self._until = now + pause
        return pause

    def succeeded(self) -> None:
        """Forget all failures."""
        self._delay, self._until = 0.0, None
