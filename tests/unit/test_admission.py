"""Admission: who gets a slot, and whose turn it is."""

from collections.abc import Iterator
from typing import Any

from orch.domain.admission import Admission, Candidate, Group, Order, admit
from orch.domain.ageing import head_start
from orch.domain.limits import LimitKey

HOUR = 3_600_000_000
NOW = 1_000 * HOUR
POOL = ("pool", "default")


def waiting(count: int = 1, *, first: int = 0, weight: int = 1, hours: float = 0.0) -> list[Candidate]:
    since = NOW - int(hours * HOUR)
    rank = since - head_start(weight, 3600)
    return [Candidate(rank, first + n, since, weight) for n in range(count)]


def group(dag: str, candidates: list[Candidate], **values: Any) -> Group:
    return Group(dag, **{"pool": "default", "executor": "Local", "candidates": iter(candidates)} | values)


def admitted(groups: list[Group], free: dict[LimitKey, int], batch: int = 100, **served_at: int) -> Admission:
    turns = {("default", dag): at for dag, at in served_at.items()}
    return admit(groups, free, Order(NOW, 3600, turns), batch)


def dags(result: Admission) -> list[str]:
    return [group.dag_id for group, _ in result.admitted]


def ids(result: Admission) -> list[int]:
    return [candidate.ti_id for _, candidate in result.admitted]


def test_no_more_are_admitted_than_the_pool_has_slots():
    result = admitted([group("a", waiting(10))], {POOL: 3})
    assert ids(result) == [0, 1, 2]
    assert result.saturated == {POOL}


def test_slots_are_counted_and_not_tasks():
    assert len(admitted([group("a", waiting(10), slots=2)], {POOL: 5}).admitted) == 2


def test_dags_take_turns_within_one_admission():
    groups = [group("a", waiting(5)), group("b", waiting(5, first=10))]
    assert dags(admitted(groups, {POOL: 4})) == ["a", "b", "a", "b"]


def test_dags_take_turns_when_slots_come_one_by_one():
    order = []
    served: dict[str, int] = {}
    queues = {name: waiting(4, first=at) for name, at in (("a", 0), ("b", 10), ("c", 20))}
    for _ in range(9):
        result = admitted([group(name, queue) for name, queue in queues.items()], {POOL: 1}, **served)
        (name,) = dags(result)
        queues[name].pop(0)
        order.append(name)
        served[name] = len(order)
    assert order == ["a", "b", "c"] * 3


def test_a_dag_has_one_turn_however_many_groups_it_has():
    many = [group("a", waiting(3, first=10 * n), executor=f"e{n}") for n in range(5)]
    assert dags(admitted([*many, group("b", waiting(3, first=90))], {POOL: 4})).count("b") == 2


def test_turns_are_taken_in_each_pool_apart():
    groups = [group("a", waiting()), group("b", waiting(first=1))]
    turns = {("default", "b"): NOW - 5, ("other", "a"): NOW - 1}
    assert dags(admit(groups, {POOL: 1}, Order(NOW, 3600, turns), 1)) == ["a"]


def test_a_higher_level_goes_first_in_every_group():
    groups = [group("a", waiting(3)), group("b", waiting(2, weight=8, first=10))]
    assert dags(admitted(groups, {})) == ["b", "b", "a", "a", "a"]


def test_weights_within_one_doubling_take_turns():
    groups = [group("a", waiting(2, weight=5)), group("b", waiting(2, weight=7, first=10))]
    assert dags(admitted(groups, {}, a=1, b=2)) == ["a", "b", "a", "b"]


def test_a_dag_that_got_nothing_for_three_hours_goes_before_eight_times_its_weight():
    low, high = group("low", waiting(hours=3.1)), group("high", waiting(5, weight=8, first=10))
    assert dags(admitted([low, high], {POOL: 2}, high=NOW - 9)) == ["low", "high"]


def test_with_its_first_slot_a_dag_is_passed_over_no_longer_in_any_group():
    low = [group("low", waiting(2, first=10 * n, hours=3.1), executor=f"e{n}") for n in range(3)]
    high = group("high", waiting(3, weight=4, first=90))
    result = admitted([*low, high], {POOL: 5}, high=NOW - 9)
    assert dags(result) == ["low", "high", "high", "high", "low"]


def test_a_backlog_gives_no_right_of_way_to_a_dag_that_is_served():
    old, fresh = group("old", waiting(100, hours=50)), group("fresh", waiting(2, first=900))
    assert dags(admitted([old, fresh], {POOL: 4}, old=NOW - 10)) == ["fresh", "old", "fresh", "old"]


def test_an_urgent_task_lifts_the_backlog_before_it():
    backlog = group("a", waiting(2, hours=4))
    urgent = group("a", waiting(weight=8, first=5))
    other = group("b", waiting(3, weight=2, first=10))
    assert dags(admitted([backlog, urgent, other], {}, a=NOW - 10))[:3] == ["a", "a", "a"]


def test_within_a_dag_the_rank_decides():
    backlog, urgent = group("a", waiting(2, hours=4)), group("a", waiting(weight=8, first=5))
    fresh = group("a", waiting(first=7))
    assert ids(admitted([fresh, urgent, backlog], {})) == [0, 1, 5, 7]


def test_a_full_dag_does_not_hold_back_another():
    result = admitted([group("a", waiting(5)), group("b", waiting(2, first=10))], {("dag_tasks", "a"): 1})
    assert dags(result) == ["a", "b", "b"]
    assert result.saturated == {("dag_tasks", "a")}


def test_a_full_task_holds_back_its_own_group_only():
    own = ("task", "a/t")
    limited = group("a", waiting(5), own_limits=(own,))
    result = admitted([limited, group("a", waiting(2, first=10))], {own: 1, POOL: 9})
    assert ids(result) == [0, 10, 11]
    assert result.saturated == {own}


def test_a_wide_task_keeps_the_free_slots_of_its_pool():
    wide, narrow = group("a", waiting(hours=1), slots=4), group("b", waiting(5, first=10))
    result = admitted([wide, narrow], {POOL: 3})
    assert result.admitted == []
    assert {pool: candidate.ti_id for pool, (_, candidate) in result.reserved.items()} == {"default": 0}
    assert result.saturated == {POOL}


def test_a_wide_task_keeps_nothing_when_its_dag_is_full():
    wide, narrow = group("a", waiting(hours=1), slots=4), group("b", waiting(5, first=10))
    result = admitted([wide, narrow], {POOL: 3, ("dag_tasks", "a"): 0})
    assert dags(result) == ["b", "b", "b"]
    assert POOL in result.saturated


def test_a_closed_pool_leaves_the_others_open():
    full, free = group("a", waiting(2)), group("b", waiting(2, first=10), pool="other")
    assert dags(admitted([full, free], {POOL: 0})) == ["b", "b"]


def test_the_batch_bounds_the_result():
    result = admitted([group("a", waiting(50))], {}, 7)
    assert (len(result.admitted), result.is_complete) == (7, False)


def test_nobody_waiting_saturates_nothing():
    result = admitted([group("a", waiting(3))], {POOL: 3})
    assert (result.saturated, result.is_complete) == (set(), True)


def test_no_more_is_read_of_a_group_than_is_needed():
    read = []

    def source() -> Iterator[Candidate]:
        for candidate in waiting(1000):
            read.append(candidate.ti_id)
            yield candidate

    admit([Group("a", "default", "Local", source())], {POOL: 3}, Order(NOW, 3600), 100)
    assert read == [0, 1, 2, 3]
