"""What a cron expression says: its fields as sets of numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CronFields:
    """What an expression says, as sets of numbers: bit n of an integer is set when n belongs to the set.

    A day matches by date when one of `month_days`, `days_before_last` and `work_days` has it, and by week
    when `week_days` or `nth_week_days` has it.
    """

    text: str
    seconds: int
    minutes: int
    hours: int
    months: int
    month_days: int
    days_before_last: int
    """Bit 0 is the last day of the month (`L`), bit 3 the third day before it (`L-3`)."""
    work_days: int
    """Bit 15 is the Monday to Friday nearest to the 15th (`15W`), bit 0 the last one of the month (`LW`)."""
    week_days: int
    """Bit 0 is Sunday."""
    nth_week_days: tuple[int, ...]
    """At index 2 the week days that match in their second week (`MON#2`), at 0 in their last (`5L`)."""
    either_day: bool
    """Whether date or week suffices; else both must match, as when one of the fields starts with `*`."""
    is_wildcard: bool
    """Whether the hour or the minute starts with `*`: the job follows the clock rather than an hour."""
