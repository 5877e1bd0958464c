"""The rules for changes of the clock."""

from enum import StrEnum


class DstRule(StrEnum):
    """What becomes of times on the wall that a clock change skips or shows twice.

    However many skipped times are made up for, they are one tick at the first instant after the gap, the
    same tick as one that is due then anyway.
    """

    VIXIE = "vixie"
    """Like `twice` when hour or minute starts with `*`, else like `once`; the habit of Vixie's cron."""
    SKIP = "skip"
    """Skipped times are lost; repeated times tick the first time only."""
    ONCE = "once"
    """Skipped times tick right after the gap; repeated times tick the first time only."""
    TWICE = "twice"
    """The wall taken at its word: skipped times are lost, repeated times tick twice."""
