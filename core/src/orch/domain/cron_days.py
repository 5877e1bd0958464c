"""The days of one month that a cron expression matches, as a bit set."""

from collections.abc import Iterator

from orch.domain.cron_fields import CronFields

EVERY_WEEK = sum(1 << 7 * week for week in range(5))
WEEK = 0b1111111
SUNDAY, SATURDAY = 0, 6


def days_of_month(fields: CronFields, first_week_day: int, length: int) -> int:
    """Return the matching days of a month of `length` days; its first day is a Sunday when that is 0."""
    existing = (2 << length) - 2
    by_date = _by_date(fields, first_week_day, length)
    by_week = _by_week(fields, first_week_day, length)
    return existing & (by_date | by_week if fields.either_day else by_date & by_week)


def members(bits: int) -> Iterator[int]:
    """Yield the numbers in a bit set, smallest first."""
    while bits:
        yield (bits & -bits).bit_length() - 1
        bits &= bits - 1


def _by_date(fields: CronFields, first_week_day: int, length: int) -> int:
    days = fields.month_days
    for before_last in members(fields.days_before_last):
        if before_last < length:
            days |= 1 << (length - before_last)
    for day in members(fields.work_days):
        if day <= length:
            days |= 1 << _nearest_work_day(day or length, first_week_day, length)
    return days


def _nearest_work_day(day: int, first_week_day: int, length: int) -> int:
    """The day itself, or on a weekend the Friday before or the Monday after, within the month."""
    week_day = (first_week_day + day - 1) % 7
    if week_day == SATURDAY:
        return day - 1 if day > 1 else day + 2
    if week_day == SUNDAY:
        return day + 1 if day < length else day - 2
    return day


def _by_week(fields: CronFields, first_week_day: int, length: int) -> int:
    days = _on(fields.week_days, first_week_day)
    for week, week_days in enumerate(fields.nth_week_days):
        if week_days:
            start = 7 * week - 6 if week else length - 6
            days |= _on(week_days, first_week_day) & (WEEK << start)
    return days


def _on(week_days: int, first_week_day: int) -> int:
    """All days that fall on the given week days."""
    first_week = (week_days >> first_week_day | week_days << (7 - first_week_day)) & WEEK
    return first_week * EVERY_WEEK << 1
