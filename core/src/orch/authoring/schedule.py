"""The schedule argument of a DAG: what it may be, and the time zone it is read in."""

import re
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from orch.domain.cron import CronExpression
from orch.errors import BadInput, DagDefinitionError, NotBuiltYet, nearest

ONCE = "@once"
_LATER = {"@continuous"}


def schedule_text(thing: str, schedule: Any) -> str | None:
    """Return the canonical text of a schedule: None, '@once' or a valid cron expression."""
    if schedule is None:
        return None
    if not isinstance(schedule, str):
        raise NotBuiltYet(
            f"{thing}: a schedule of type {type(schedule).__name__} comes in a later release of orch; "
            "use None, '@once' or a cron expression such as '0 6 * * *'"
        )
    text = re.sub(r"\s+", " ", schedule).strip()
    if text == ONCE:
        return text
    if text in _LATER:
        raise NotBuiltYet(f"{thing}: schedule {text!r} comes in a later release of orch")
    try:
        CronExpression.parse(text)
    except BadInput as error:
        hint = nearest(text, {ONCE, *_LATER}) if text.startswith("@") else ""
        raise DagDefinitionError(f"{thing}: schedule {schedule!r}: {error}{hint}") from None
    return text


def timezone_of(thing: str, timezone: Any, start_date: Any) -> tuple[str, tzinfo]:
    """Return name and rules of the zone: the given one, else that of the start date, else UTC."""
    if timezone is None:
        timezone = getattr(start_date.tzinfo, "key", None) if isinstance(start_date, datetime) else None
    name = getattr(timezone, "key", timezone) or "UTC"
    if name == "UTC" or timezone is UTC:
        return "UTC", UTC  # known without a time zone database
    if not isinstance(name, str):
        raise DagDefinitionError(f"{thing}: timezone must be a name such as 'Europe/Paris', not {timezone!r}")
    try:
        return name, ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        hint = nearest(name, available_timezones())
        raise DagDefinitionError(f"{thing}: unknown timezone {name!r}{hint}") from None


def moment(thing: str, name: str, value: Any, zone: tzinfo) -> datetime | None:
    """Return an aware UTC datetime; a naive one is read in `zone`."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise DagDefinitionError(f"{thing}: {name} must be a datetime, not {value!r}")
    try:
        return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise DagDefinitionError(f"{thing}: {name} {value} is out of range") from None
