"""Seats and pace: how many task processes of a worker may be busy at once, and how many attempts are laid out ahead."""

SHORT_SECONDS = 0.02
"""A task that is shorter than this costs less than the way of its outcome and the next start."""
MOST_AHEAD = 16
"""Attempts that are laid on the tray of one task process behind the one it runs, while tasks are short."""
_ENOUGH = 4


class Pace:
    """Whether the tasks of late were short, so that the next ones may be claimed and handed out ahead."""

    def __init__(self) -> None:
        self._in_a_row = 0

    @property
    def ahead(self) -> int:
        """How many attempts may lie on the tray of a task process; 0 while not all recent ones were short."""
        return 0 if self._in_a_row < _ENOUGH else min(MOST_AHEAD, self._in_a_row // 2)

    def note(self, seconds: float) -> None:
        """Take in how long an attempt took; one that is not short ends the row."""
        self._in_a_row = self._in_a_row + 1 if seconds < SHORT_SECONDS else 0


class Seats:
    """The task processes of a worker that may be busy at once, over all of its hosts."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self.pace = Pace()

    @property
    def has_free(self) -> bool:
        """True while another task process may begin."""
        return self.taken < self.size
