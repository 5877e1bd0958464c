"""Logical date: the moment that a run stands for, and which moments orch can count with."""

from datetime import UTC, datetime

from orch.errors import BadInput

FIRST_YEAR, LAST_YEAR = 1900, 9000
"""Far enough from both ends of the calendar that every time zone and interval around a date exists too."""


def check_logical_date(date: datetime) -> datetime:
    """Return the date in UTC; raise BadInput when it has no offset or lies outside of the years 1900 to 9000."""
    if date.utcoffset() is None:
        raise BadInput(
            f"logical date {date.isoformat()} has no time zone; add one, as in 2026-01-31T06:00+01:00"
        )
    try:
        moment = date.astimezone(UTC)
    except OverflowError:
        raise _outside(date) from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise _outside(date)
    return moment


def _outside(date: datetime) -> BadInput:
    return BadInput(
        f"logical date {date.isoformat()} is outside of the years {FIRST_YEAR} to {LAST_YEAR} (UTC);"
        " choose one inside"
    )
