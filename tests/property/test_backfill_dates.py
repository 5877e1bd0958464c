"""Dates of backfills: stopping anywhere and going on there gives the same dates, in both directions."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orch.domain.backfills import dates_between, remaining_dates
from orch.domain.dagspec import DagSpec, TimetableSpec
from orch.domain.timetables import timetable_of

NOW = datetime(2024, 4, 2, 12, 30, tzinfo=UTC)
SPECS = [
    DagSpec("d", schedule="0 6 * * *"),
    DagSpec("d", schedule="30 */5 * * *", timezone="Europe/Berlin"),
    DagSpec("d", schedule="0 6 * * *", start_date=NOW - timedelta(days=9), end_date=NOW - timedelta(days=2)),
    DagSpec("d", schedule="h", timetable=TimetableSpec("cron_interval", {"expression": "0 */7 * * *"})),
    DagSpec("d", schedule="s", timetable=TimetableSpec("delta", {"seconds": 5400})),
]
moments = st.integers(-600, 60).map(lambda hours: NOW + timedelta(hours=hours))


@given(st.sampled_from(SPECS), moments, moments, st.booleans(), st.data())
def test_a_backfill_that_stops_anywhere_goes_on_with_the_next_date(spec, one, other, backwards, data):
    timetable = timetable_of(spec)
    first, last = sorted((one, other))
    whole = list(dates_between(timetable, first, last, NOW, backwards=backwards))
    stop = data.draw(st.integers(0, len(whole)))
    position = whole[stop - 1].logical_date if stop else None
    dates = [each.logical_date for each in whole]
    span = (min(dates, default=first), max(dates, default=first))  # as a backfill has it
    if whole:
        assert whole[:stop] + list(remaining_dates(timetable, span, position, backwards=backwards)) == whole


@given(st.sampled_from(SPECS), moments, moments)
def test_both_directions_have_the_same_dates_all_of_them_past(spec, one, other):
    timetable = timetable_of(spec)
    first, last = sorted((one, other))
    forwards = list(dates_between(timetable, first, last, NOW))
    assert list(dates_between(timetable, first, last, NOW, backwards=True)) == forwards[::-1]
    assert all(first <= each.logical_date <= last and each.interval[1] <= NOW for each in forwards)
    naive, tick = [], timetable.next_after(first - timedelta(days=30))
    while tick is not None and tick <= NOW:
        naive.append(timetable.logical_date(tick))
        tick = timetable.next_after(tick)
    assert [each.logical_date for each in forwards] == [date for date in naive if first <= date <= last]
