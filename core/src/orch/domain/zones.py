"""Time zones by name, as the tz database lists them."""

import difflib
import re
from collections.abc import Iterable
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from orch.errors import NotFound

ABBREVIATION = re.compile("[A-Z]{1,5}")
"""PST is one letter away from MST, which is another zone: only the same letters are near enough."""
LEAST_CERTAIN, MOST_CERTAIN = 0.6, 1.0
MOST_SHOWN = 60
NO_NAMES = frozenset({"localtime"})
"""What a machine calls its own zone: known there, and wrong on the next machine."""


def find_zone(name: str) -> tzinfo:
    """Return the rules of a zone such as `Europe/Berlin`; an unknown name is answered with the nearest one."""
    if name == "UTC":
        return UTC  # known without a time zone database
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        shown = repr(name if len(name) <= MOST_SHOWN else f"{name[:MOST_SHOWN]}...")
        raise NotFound(f"unknown time zone {shown}{_hint(name)}") from None


def zone_names() -> list[str]:
    """Return the names that this machine knows, sorted."""
    return sorted(available_timezones() - NO_NAMES)


def _hint(name: str) -> str:
    spellings, folded = _spellings(zone_names()), _folded(name[:MOST_SHOWN])
    cutoff = MOST_CERTAIN if ABBREVIATION.fullmatch(name) else LEAST_CERTAIN
    match = difflib.get_close_matches(folded, spellings, n=1, cutoff=cutoff)
    if match:
        return f"; did you mean {spellings[match[0]]!r}?"
    return "; write a name of the tz database such as 'Europe/Berlin'"


def _spellings(names: Iterable[str]) -> dict[str, str]:
    """What people write for a zone -> its name: the name in any case, or the city alone."""
    by_name = {_folded(name): name for name in names}
    by_city = {folded.rpartition("/")[2]: name for folded, name in reversed(by_name.items())}
    return by_city | by_name


def _folded(name: str) -> str:
    return name.strip().replace(" ", "_").casefold()
