"""A cron expression said in English."""

from collections.abc import Sequence

from orch.domain.cron_days import members
from orch.domain.cron_fields import CronFields

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
WEEK_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
WEEKS = ("last", "first", "second", "third", "fourth", "fifth")
MOST_TIMES = 4
LEAST_RUN = 3
LEAST_STEPS = 4


def describe(fields: CronFields) -> str:
    """Return a sentence without a full stop, such as `at 09:00 on Monday to Friday in May`."""
    times = _times(fields)
    days = _days(fields) or (" every day" if times else "")
    months = [] if _is_full(fields.months, 1, 12) else list(members(fields.months))
    in_months = f" in {_list(months, [MONTHS[month - 1] for month in months])}" if months else ""
    return (times or _rhythm(fields)) + days + in_months


def _times(fields: CronFields) -> str:
    """`at 02:30 and 14:30`, when the times of a day are few."""
    hours, minutes, seconds = (list(members(bits)) for bits in (fields.hours, fields.minutes, fields.seconds))
    if len(hours) * len(minutes) > MOST_TIMES or len(seconds) > 1:
        return ""
    second = f":{seconds[0]:02}" if seconds[0] else ""
    return "at " + _and([f"{hour:02}:{minute:02}{second}" for hour in hours for minute in minutes])


def _rhythm(fields: CronFields) -> str:
    """`every 5 minutes of hours 9 to 17`, for anything that has no few times of day."""
    second, minute = _repeat(fields.seconds, 60, "second"), _repeat(fields.minutes, 60, "minute")
    hour = _of_hours(fields.hours)
    if fields.seconds != 1:
        minute = second if minute == "every minute" else f"{second}, {minute}"
    if hour == "every hour":
        return minute if "at minute" not in minute else f"{minute} of every hour"
    return f"{minute} of {hour}"


def _repeat(bits: int, size: int, unit: str) -> str:
    numbers = list(members(bits))
    step = _whole_step(numbers, size)
    if step:
        return f"every {unit}" if step == 1 else f"every {step} {unit}s"
    return f"at {_count(unit, numbers)}"


def _of_hours(bits: int) -> str:
    hours = list(members(bits))
    step = _whole_step(hours, 24)
    if step:
        return "every hour" if step == 1 else f"every {_ordinal(step)} hour"
    return _count("hour", hours)


def _whole_step(numbers: Sequence[int], size: int) -> int:
    """The distance between the numbers when it goes evenly round the clock from 0, else 0."""
    step = numbers[1] if len(numbers) > 1 else size
    even = size % step == 0 and list(numbers) == list(range(0, size, step))
    return step if even and step < size else 0


def _days(fields: CronFields) -> str:
    dates, weeks = _dates(fields), _weeks(fields)
    if dates and weeks:
        return f" on {dates} or on {weeks}" if fields.either_day else f" on {dates}, but only on {weeks}"
    if fields.either_day or not (dates or weeks):
        return ""
    return f" on {dates or weeks}"


def _dates(fields: CronFields) -> str:
    """The days of the month, or nothing when that is all of them."""
    if _is_full(fields.month_days, 1, 31):
        return ""
    days = list(members(fields.month_days))
    said = [_count("day", days)] if days else []
    before_last = members(fields.days_before_last)
    said += [
        f"the {_ordinal(count)} day before the last" if count else "the last day" for count in before_last
    ]
    work_days = members(fields.work_days)
    said += [f"the weekday nearest to day {day}" if day else "the last weekday" for day in work_days]
    return f"{_and(said)} of the month"


def _weeks(fields: CronFields) -> str:
    """The days of the week, or nothing when that is all of them."""
    if _is_full(fields.week_days, 0, 6):
        return ""
    days = sorted(day or 7 for day in members(fields.week_days))
    said = [_list(days, [WEEK_DAYS[day % 7] for day in days])] if days else []
    for week in (1, 2, 3, 4, 5, 0):
        nth = members(fields.nth_week_days[week])
        said += [f"the {WEEKS[week]} {WEEK_DAYS[day]} of the month" for day in nth]
    return _and(said)


def _is_full(bits: int, low: int, high: int) -> bool:
    return bits == (2 << high) - (1 << low)


def _count(unit: str, numbers: Sequence[int]) -> str:
    """`minute 5`, `minutes 5, 7 and 10 to 20`, `days 1 to 31 in steps of 2`."""
    plural = "s" * (len(numbers) > 1)
    step = numbers[1] - numbers[0] if plural else 1
    if step > 1 and len(numbers) >= LEAST_STEPS and numbers == list(range(numbers[0], numbers[-1] + 1, step)):
        return f"{unit}{plural} {numbers[0]} to {numbers[-1]} in steps of {step}"
    return f"{unit}{plural} {_list(numbers, [str(number) for number in numbers])}"


def _list(numbers: Sequence[int], names: Sequence[str]) -> str:
    """The names, three or more in a row as `first to last`."""
    runs: list[list[int]] = []
    for index, number in enumerate(numbers):
        if runs and numbers[runs[-1][-1]] == number - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    said = []
    for run in runs:
        whole = f"{names[run[0]]} to {names[run[-1]]}"
        said += [whole] if len(run) >= LEAST_RUN else [names[index] for index in run]
    return _and(said)


def _ordinal(number: int) -> str:
    teen = 10 < number % 100 < 20
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _and(said: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(said[:-1]), said[-1])))
