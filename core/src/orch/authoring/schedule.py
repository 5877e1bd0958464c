"""The schedule argument of a DAG: what it may be, and the time zone it is read in."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from orch.authoring.timetables import (
    AIRFLOW_NAMES,
    Continuous,
    Dates,
    Declaration,
    Declared,
    Delta,
    SeveralCrons,
    cron_text,
)
from orch.errors import BadInput, DagDefinitionError, nearest

ONCE, CONTINUOUS = "@once", "@continuous"
_MAY_BE = (
    f"None, a cron expression such as '0 6 * * *', {ONCE!r}, {CONTINUOUS!r}, a timedelta, a list of cron expressions, "
    "a list of datetimes, or a timetable of orch.timetables"
)


def declared(thing: str, schedule: Any, zone: tzinfo) -> Declared:
    """Return the serialised form of a schedule; DagDefinitionError for an impossible one."""
    try:
        return _declaration(schedule).declared(zone) if not _is_plain(schedule) else _plain(schedule)
    except BadInput as error:
        raise DagDefinitionError(f"{thing}: schedule {_shown(schedule)}: {error}") from None


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


def _is_plain(schedule: Any) -> bool:
    return schedule is None or (isinstance(schedule, str) and schedule.strip() != CONTINUOUS)


def _plain(schedule: str | None) -> Declared:
    if schedule is None or schedule.strip() == ONCE:
        return Declared(schedule and ONCE)
    try:
        return Declared(cron_text(schedule))
    except BadInput as error:
        hint = nearest(schedule.strip(), {ONCE, CONTINUOUS}) if schedule.strip().startswith("@") else ""
        raise BadInput(f"{error}{hint}") from None


def _declaration(schedule: Any) -> Declaration:
    match schedule:
        case Declaration():
            return schedule
        case str():
            return Continuous()
        case timedelta():
            return Delta(schedule)
        case list() | tuple() if schedule:
            return _listed(schedule)
    raise BadInput(f"it must be {_MAY_BE}{_remedy(schedule)}")


def _listed(items: list[Any] | tuple[Any, ...]) -> Declaration:
    if all(isinstance(item, str) for item in items):
        return SeveralCrons(items)
    if all(isinstance(item, datetime) for item in items):
        return Dates(items)
    odd = next((item for item in items if not isinstance(item, str | datetime)), None)
    if odd is None:
        raise BadInput("the list mixes cron expressions and datetimes; make two DAGs, or one of the two")
    raise BadInput(f"a list holds cron expressions or datetimes, not {odd!r:.100}{_remedy(odd)}")


def _remedy(value: Any) -> str:
    """What to write instead, when that can be guessed."""
    match value:
        case list() | tuple():
            return "; the list is empty: leave the schedule out for a DAG that runs by hand only"
        case datetime():
            return "; for one run put it into a list, [datetime(...)]"
        case date():
            return f"; write a list of datetimes, [datetime({value.year}, {value.month}, {value.day})]"
        case set() | frozenset():
            return "; a set has no order, make it a list"
        case bool():
            return ""
        case int() | float():
            return f"; for a rhythm write timedelta(seconds={value})"
        case type() if issubclass(value, Declaration):
            return f"; {value.__name__} is a class, write {value.__name__}(...)"
    own = AIRFLOW_NAMES.get(type(value).__name__)
    return f"; what {type(value).__name__} does is {own} here" if own else ""


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 100 else f"{shown[:97]}..."
