"""Admission: who gets a slot."""

from orch.domain.limits import Candidate, admit, free_slots


def group(dag: str, count: int, *, priority: int = 1, slots: int = 1, first: int = 0) -> list[Candidate]:
    return [Candidate(first + n, dag, "default", slots, "Local", priority) for n in range(count)]


def test_unlimited_keys_are_left_out_of_what_is_free():
    assert free_slots({("pool", "a"): -1, ("pool", "b"): 3}, {("pool", "b"): 1}) == {("pool", "b"): 2}


def test_no_more_are_admitted_than_the_pool_has_slots():
    result = admit([group("a", 10)], {("pool", "default"): 3}, 100)
    assert [c.ti_id for c in result.admitted] == [0, 1, 2]
    assert result.saturated == {("pool", "default")}


def test_slots_are_counted_and_not_tasks():
    assert len(admit([group("a", 10, slots=2)], {("pool", "default"): 5}, 100).admitted) == 2


def test_groups_of_equal_priority_take_turns():
    result = admit([group("a", 5), group("b", 5, first=10)], {("pool", "default"): 4}, 100)
    assert [c.dag_id for c in result.admitted] == ["a", "b", "a", "b"]


def test_a_higher_priority_goes_first_in_every_group():
    groups = [group("a", 3), group("b", 2, priority=9, first=10)]
    assert [c.dag_id for c in admit(groups, {}, 100).admitted] == ["b", "b", "a", "a", "a"]


def test_a_full_dag_does_not_hold_back_another():
    result = admit([group("a", 5), group("b", 2, first=10)], {("dag_tasks", "a"): 1}, 100)
    assert [c.dag_id for c in result.admitted] == ["a", "b", "b"]
    assert result.saturated == {("dag_tasks", "a")}


def test_a_wide_task_is_not_overtaken_by_its_own_group():
    wide = [Candidate(1, "a", "default", 4, "Local", 5), Candidate(2, "a", "default", 1, "Local", 1)]
    assert admit([wide], {("pool", "default"): 3}, 100).admitted == []


def test_the_batch_bounds_the_result():
    assert len(admit([group("a", 50)], {}, 7).admitted) == 7


def test_nobody_waiting_saturates_nothing():
    assert admit([group("a", 3)], {("pool", "default"): 3}, 100).saturated == set()
