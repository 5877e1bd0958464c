"""Timetables: first, next and latest ticks within the dates of a DAG."""

from datetime import UTC, datetime

import pytest

from orch.domain.cron import CronError
from orch.domain.dagspec import DagSpec
from orch.domain.timetables import NeverTimetable, timetable_of

NOON = datetime(2024, 3, 10, 12, tzinfo=UTC)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def timetable(schedule: str | None = "0 6 * * *", **values):
    return timetable_of(DagSpec("d", schedule=schedule, **values))


def test_a_new_schedule_starts_with_the_next_tick_when_it_does_not_catch_up():
    assert timetable(start_date=moment("2020-01-01")).first(NOON, None, catchup=False) == moment(
        "2024-03-11T06:00"
    )


def test_a_schedule_that_catches_up_starts_at_its_start_date_inclusive():
    start = moment("2024-01-01T06:00")
    assert timetable(start_date=start).first(NOON, None, catchup=True) == start


def test_a_changed_schedule_that_catches_up_goes_on_after_the_last_tick():
    last = moment("2024-03-01T06:00")
    assert timetable(start_date=moment("2020-01-01")).first(NOON, last, catchup=True) == moment(
        "2024-03-02T06:00"
    )


def test_no_tick_comes_before_the_start_date_or_after_the_end_date():
    table = timetable(start_date=moment("2024-05-01"), end_date=moment("2024-05-02T06:00"))
    assert table.next_after(NOON) == moment("2024-05-01T06:00")
    assert table.next_after(moment("2024-05-01T06:00")) == moment("2024-05-02T06:00")
    assert table.next_after(moment("2024-05-02T06:00")) is None
    assert table.latest(NOON) is None
    assert table.latest(moment("2025-01-01")) == moment("2024-05-02T06:00")


def test_the_latest_tick_is_at_or_before_now():
    assert timetable().latest(moment("2024-03-10T06:00")) == moment("2024-03-10T06:00")
    assert timetable().latest(moment("2024-03-10T05:59")) == moment("2024-03-09T06:00")


def test_ticks_follow_the_zone_of_the_dag():
    table = timetable(timezone="America/New_York")
    assert table.next_after(moment("2024-01-01")) == moment("2024-01-01T11:00")
    assert table.next_after(moment("2024-07-01")) == moment("2024-07-01T10:00")


def test_once_ticks_once():
    table = timetable("@once")
    assert table.first(NOON, None, catchup=False) == NOON
    assert table.first(NOON, NOON, catchup=False) is None
    assert table.next_after(NOON) is None


def test_no_schedule_never_ticks():
    assert timetable(None) == NeverTimetable()
    assert timetable(None).first(NOON, None, catchup=True) is None


def test_a_bad_expression_is_named():
    with pytest.raises(CronError, match="61"):
        timetable("61 * * * *")
