"""Backfills as rules: which dates get a run, and what moment a bound means."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from orch.domain.backfills import Outcome, Reprocess, first_moment, last_moment, outcome_of
from orch.domain.states import RunState

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("reprocess", Reprocess)
def test_a_date_without_runs_gets_one(reprocess):
    assert outcome_of(reprocess, None) is Outcome.CREATED


@pytest.mark.parametrize("reprocess", Reprocess)
@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING])
def test_an_open_run_is_never_doubled(reprocess, state):
    assert outcome_of(reprocess, state) is Outcome.RUN_OPEN


@pytest.mark.parametrize("state", [RunState.SUCCESS, RunState.FAILED, RunState.CANCELLED])
def test_without_reprocessing_any_run_is_enough_and_with_all_of_it_none_is(state):
    assert outcome_of(Reprocess.NONE, state) is Outcome.RUN_EXISTS
    assert outcome_of(Reprocess.COMPLETED, state) is Outcome.CREATED


def test_failed_and_cancelled_runs_are_made_again_where_that_was_asked_for():
    ended = (RunState.FAILED, RunState.CANCELLED, RunState.SUCCESS)
    outcomes = [outcome_of(Reprocess.FAILED, state) for state in ended]
    assert outcomes == [Outcome.CREATED, Outcome.CREATED, Outcome.RUN_SUCCEEDED]


@pytest.mark.parametrize(
    ("bound", "first", "last"),
    [
        (date(2024, 1, 31), "2024-01-30T23:00:00", "2024-01-31T22:59:59.999999"),
        (date(2024, 3, 31), "2024-03-30T23:00:00", "2024-03-31T21:59:59.999999"),
        (datetime(2024, 1, 31, 6), "2024-01-31T05:00:00", "2024-01-31T05:00:00"),
        (datetime(2024, 1, 31, 6, tzinfo=UTC), "2024-01-31T06:00:00", "2024-01-31T06:00:00"),
    ],
)
def test_a_bound_means_a_moment_or_a_whole_day_on_the_clock_of_the_dag(bound, first, last):
    assert first_moment(bound, BERLIN) == datetime.fromisoformat(first).replace(tzinfo=UTC)
    assert last_moment(bound, BERLIN) == datetime.fromisoformat(last).replace(tzinfo=UTC)
