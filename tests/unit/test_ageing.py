"""Ageing: what a priority is worth in time."""

from orch.domain.ageing import doublings, head_start, level

HOUR = 3_600_000_000


def test_a_weight_counts_in_doublings():
    assert [doublings(weight) for weight in (1, 2, 8, 1024)] == [0, 1, 3, 10]


def test_below_one_it_goes_on_downwards_without_end():
    assert [doublings(weight) for weight in (0, -2, -6)] == [-1, -2, -3]
    weights = [-(2**31), -1000, -7, -1, 0, 1, 2, 3, 1000, 2**31 - 1]
    values = [doublings(weight) for weight in weights]
    assert values == sorted(values)
    assert len(set(values)) == len(values)


def test_a_doubling_is_worth_one_ageing_of_waiting():
    assert head_start(1, 3600) == 0
    assert head_start(2, 3600) == HOUR
    assert head_start(8, 60) == 180_000_000
    assert head_start(0, 3600) == -HOUR


def test_a_level_is_the_whole_doublings_of_weight_and_waiting_together():
    assert level(1, 0, 3600) == level(1, HOUR - 1, 3600) == 0
    assert level(1, HOUR, 3600) == level(2, 0, 3600) == level(3, 0, 3600) == 1
    assert level(3, HOUR // 2, 3600) == 2
    assert level(0, 0, 3600) == -1
    assert level(1, -5, 3600) == 0
