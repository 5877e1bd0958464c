"""Limits: what is left of them, and which task instances share them."""

import pytest

from orch.domain.limits import Lane, free_slots, run_task_limit, size_key, task_limit


def lane(*, priority: int = 1, slots: int = 1, limited: bool = False, limited_per_run: bool = False) -> Lane:
    return Lane.of(
        priority=priority,
        slots=slots,
        task_id="t",
        run_pk=7,
        limited=limited,
        limited_per_run=limited_per_run,
    )


def test_unlimited_keys_are_left_out_of_what_is_free():
    assert free_slots({("pool", "a"): -1, ("pool", "b"): 3}, {("pool", "b"): 1}) == {("pool", "b"): 2}


def test_the_plain_lane_is_empty():
    assert lane().text == ""
    assert lane().own_limits("d") == ()


@pytest.mark.parametrize(
    ("one", "text", "own"),
    [
        (lane(priority=9), "3/1//", ()),
        (lane(priority=-6, slots=4), "-3/4//", ()),
        (lane(limited=True), "0/1/t/", (task_limit("d", "t"),)),
        (lane(limited_per_run=True), "0/1/t/7", (task_limit("d", "t"), run_task_limit("d", "t", 7))),
    ],
)
def test_a_lane_is_what_its_text_says(one, text, own):
    assert one.text == text
    assert Lane.parse(text) == one
    assert one.own_limits("d") == own


def test_priorities_of_one_doubling_share_a_lane():
    assert lane(priority=4) == lane(priority=7) != lane(priority=8)


def test_the_size_of_a_limit_per_run_is_that_of_its_task():
    assert size_key(run_task_limit("d", "t", 7)) == ("run_task", "d/t")
    assert size_key(task_limit("d", "t")) == task_limit("d", "t")


def test_tasks_whose_ids_hold_dots_have_limits_of_their_own():
    assert task_limit("a.b", "c") != task_limit("a", "b.c")
