"""Seats and pace: how far ahead a worker goes."""

from orch.worker.seats import MOST_AHEAD, SHORT_SECONDS, Pace, Seats


def test_nothing_is_handed_out_ahead_before_some_short_tasks_in_a_row() -> None:
    pace = Pace()
    assert pace.ahead == 0
    for _ in range(3):
        pace.note(0.001)
    assert pace.ahead == 0
    pace.note(0.001)
    assert pace.ahead > 0


def test_the_number_ahead_grows_up_to_a_limit() -> None:
    pace = Pace()
    seen = []
    for _ in range(100):
        pace.note(0.0)
        seen.append(pace.ahead)
    assert seen == sorted(seen)
    assert seen[-1] == MOST_AHEAD


def test_one_task_that_is_not_short_ends_it() -> None:
    pace = Pace()
    for _ in range(100):
        pace.note(0.0)
    pace.note(SHORT_SECONDS)
    assert pace.ahead == 0


def test_seats_are_free_until_all_are_taken() -> None:
    seats = Seats(2)
    seats.taken = 1
    assert seats.has_free
    seats.taken = 2
    assert not seats.has_free
