"""Preview: the runs to come with their intervals, and what changes of the clock do to them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from orch.domain.dagspec import DagSpec, TimetableSpec
from orch.domain.preview import AGAIN, ALSO_SHIFTED, SECOND_TIME, SHIFTED, SKIPPED_TIME, Stretch, preview
from orch.domain.timetables import timetable_of

BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = datetime(2024, 3, 31, tzinfo=BERLIN), datetime(2024, 10, 27, tzinfo=BERLIN)


def of_day(schedule: str, day: datetime, dst: str = "vixie", timetable: TimetableSpec | None = None):
    spec = DagSpec("d", schedule=schedule, timezone="Europe/Berlin", dst=dst, timetable=timetable)
    last = (day + timedelta(days=1)).astimezone(UTC) - timedelta(seconds=1)
    return preview(timetable_of(spec), BERLIN, Stretch(day.astimezone(UTC), last, 100))


def marks(found):
    return {f"{run.tick.astimezone(BERLIN):%H:%M%z}": run.mark for run in found.runs if run.mark}


def lost(found):
    return [(f"{each.first:%H:%M}", f"{each.last:%H:%M}", each.why) for each in found.without_run]


@pytest.mark.parametrize(
    ("schedule", "dst", "day", "marked", "without"),
    [
        ("30 2 * * *", "vixie", SPRING, {"03:00+0200": SHIFTED}, []),
        ("0 2,3 * * *", "once", SPRING, {"03:00+0200": ALSO_SHIFTED}, []),
        ("30 2 * * *", "skip", SPRING, {}, [("02:30", "02:30", SKIPPED_TIME)]),
        ("*/20 * * * *", "vixie", SPRING, {}, [("02:00", "02:40", SKIPPED_TIME)]),
        ("30 2 * * *", "once", AUTUMN, {}, [("02:30", "02:30", SECOND_TIME)]),
        ("30 2 * * *", "twice", AUTUMN, {"02:30+0100": AGAIN}, []),
        ("0 6 * * *", "vixie", SPRING, {}, []),
        ("0 6 * * *", "vixie", AUTUMN, {}, []),
    ],
)
def test_each_rule_says_what_becomes_of_times_around_a_clock_change(schedule, dst, day, marked, without):
    found = of_day(schedule, day, dst)
    assert (marks(found), lost(found)) == (marked, without)


def test_a_schedule_of_intervals_has_starts_as_dates_and_ends_as_times():
    found = of_day("@6h", SPRING, timetable=TimetableSpec("cron_interval", {"expression": "0 */6 * * *"}))
    assert [(run.interval_start == run.logical_date, run.interval_end == run.tick) for run in found.runs] == [
        (True, True)
    ] * 4
    assert found.runs[0].logical_date == SPRING
    assert found.runs[0].interval_end == SPRING.replace(hour=6)


def test_elapsed_time_is_only_told_that_the_wall_shows_a_time_again():
    found = of_day("PT30M", AUTUMN, timetable=TimetableSpec("delta", {"seconds": 1800}))
    assert marks(found) == {"02:00+0100": AGAIN, "02:30+0100": AGAIN}
    assert lost(found) == []


def test_jitter_delays_the_runs_and_not_their_dates():
    spec, day = DagSpec("d", schedule="@daily"), datetime(2024, 1, 1, tzinfo=UTC)
    (run,) = preview(timetable_of(spec), UTC, Stretch(day, day, 9), timedelta(seconds=7)).runs
    assert (run.logical_date, run.run_after) == (day, day + timedelta(seconds=7))


@pytest.mark.parametrize("most", [3, 1500])
def test_runs_without_an_end_are_as_many_as_asked_for(most):
    spec, day = (
        DagSpec("d", schedule="0 0 29 2 *" if most == 3 else "@daily"),
        datetime(2024, 1, 1, tzinfo=UTC),
    )
    found = preview(timetable_of(spec), UTC, Stretch(day, None, most))
    assert len(found.runs) == most
