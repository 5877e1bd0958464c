"""Ageing: what a priority is worth in time of waiting, so that neither high weights nor old tasks go first for ever."""

from math import floor, log2

DEFAULT_AGEING_SECONDS = 3600.0


def doublings(priority: int) -> float:
    """Return how often the weight 1 was doubled to get this priority: 0 for 1, 3 for 8, -1 for 0, -3 for -6.

    It grows with the priority over the whole range: below 1 it mirrors what it does above.
    """
    return log2(priority) if priority >= 1 else -log2(2 - priority)


def head_start(priority: int, ageing_seconds: float) -> int:
    """Return how many microseconds of waiting a priority is worth: `ageing_seconds` for each doubling.

    All that wait age alike, so the order by (since when, minus head start) never changes while they wait.
    """
    return round(doublings(priority) * ageing_seconds * 1_000_000)


def level(priority: int, unserved: int, ageing_seconds: float) -> int:
    """Return the whole doublings of a priority that was passed over for `unserved` microseconds."""
    return floor(doublings(priority) + max(0, unserved) / (ageing_seconds * 1_000_000))
