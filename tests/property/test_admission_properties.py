"""Admission in random and in unfair worlds: limits hold, no slot is wasted, and everybody gets a turn."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.admission_desk import SECOND, Desk, Job, needs

HOUR = 3600 * SECOND
POOLS, DAGS, EXECUTORS = ("default", "db"), ("a", "b", "c", "d"), ("Local", "Other")

jobs = st.builds(
    Job,
    dag=st.sampled_from(DAGS),
    weight=st.sampled_from([-5, 0, 1, 1, 1, 2, 3, 8, 1000]),
    slots=st.sampled_from([1, 1, 1, 2, 3]),
    pool=st.sampled_from(POOLS),
    executor=st.sampled_from(EXECUTORS),
    task=st.sampled_from(["", "", "t", "u"]),
).flatmap(lambda job: st.builds(job._replace, run=st.sampled_from([None, 1, 2]) if job.task else st.none()))

sizes = st.fixed_dictionaries(
    {("pool", pool): st.integers(3, 6) for pool in POOLS},
    optional={("dag_tasks", dag): st.integers(1, 5) for dag in DAGS}
    | {("executor", executor): st.integers(1, 6) for executor in EXECUTORS}
    | {("task", f"{dag}/t"): st.integers(1, 3) for dag in DAGS}
    | {("run_task", f"{dag}/u"): st.integers(1, 2) for dag in DAGS},
)


@settings(max_examples=200)
@given(
    sizes, st.lists(st.tuples(st.lists(jobs, max_size=8), st.integers(0, 4), st.integers(0, 3)), max_size=15)
)
def test_no_limit_is_ever_exceeded_and_no_slot_is_wasted(limits, rounds):
    desk = Desk(limits)
    source = random.Random(1)
    for new, ends, hours in rounds:
        desk.now += hours * HOUR
        desk.add(*new)
        for number in source.sample(sorted(desk.running), min(ends, len(desk.running))):
            desk.end(number)
        while (result := desk.admit()).admitted:  # as a scheduler does: until nothing moves
            pass
        used, size = desk.used(), desk.sizes_of_all()
        assert all(used[key] <= size[key] for key in size)
        kept = {pool: candidate.ti_id for pool, (_, candidate) in result.reserved.items()}
        for key, queue in desk.waiting.items():
            job = desk.jobs[queue[0].ti_id]
            short = {
                limit[0]
                for limit, amount in needs(job)
                if limit in size and used[limit] + amount > size[limit]
            }
            assert short or key[0] in kept, f"{job} waits for nothing"
            if queue[0].ti_id in kept.values():
                assert short == {"pool"}, "slots are kept for one who could not take them"
    for number in list(desk.running):
        desk.end(number)
    for _ in range(300):
        for number in list(desk.running):
            desk.end(number)
        if not desk.admit().admitted:
            break
    assert not desk.waiting, "somebody waits for ever"


def small_waits(desk: Desk, slots: int, small: list[int], seconds: int) -> int:
    """Return the largest number of admissions, after the small jobs have come, until one of them had its slot."""
    before = len(desk.admitted)
    wanted = set(small)
    ends: list[tuple[int, int]] = []
    while wanted - set(desk.admitted[before:]):
        result = desk.admit()
        ends += [(desk.now + seconds * SECOND, candidate.ti_id) for _, candidate in result.admitted]
        ends.sort()
        desk.now = max(desk.now, ends[0][0])
        desk.end(ends.pop(0)[1])
    return max(desk.admitted[before:].index(number) for number in small)


@pytest.mark.parametrize("slots", [1, 4, 128])
@pytest.mark.parametrize("seconds", [1, 600])
def test_a_greedy_dag_starves_no_small_one(slots, seconds):
    desk = Desk({("pool", "default"): slots})
    desk.add(*[Job("greedy")] * 10_000)
    backlog = desk.admit().admitted
    for _, candidate in backlog:
        desk.end(candidate.ti_id)
    desk.now += 5 * HOUR  # the backlog is old by now, and served all the time
    desk.turns["default", "greedy"] = desk.now
    small = desk.add(*[Job(f"small{n}") for n in range(50)])
    assert small_waits(desk, slots, small, seconds) <= 2 * 51 + slots


def test_small_dags_that_keep_coming_get_their_turns_beside_a_greedy_one():
    desk = Desk({("pool", "default"): 2})
    desk.add(*[Job("greedy")] * 3_000)
    waits = []
    came: dict[int, int] = {}
    for step in range(2_000):
        desk.now += 60 * SECOND
        if step % 4 == 0:
            (number,) = desk.add(Job(f"small{step % 80}"))
            came[number] = step
        for number in list(desk.running):
            desk.end(number)
        desk.admit()
        waits += [step - came.pop(number) for number in list(came) if number in desk.running]
    assert max(waits) <= 2
    assert not [step for step in came.values() if step < 1_990]


def test_a_wide_task_is_not_overtaken_for_ever_by_narrow_ones_of_other_dags():
    desk = Desk({("pool", "default"): 4})
    (wide,) = desk.add(Job("wide", slots=4))
    for step in range(200):
        desk.now += SECOND
        desk.add(*[Job(f"narrow{(step + n) % 7}") for n in range(4)])
        desk.admit()
        if wide in desk.running:
            break
        for number in list(desk.running)[
            : 1 + step % 2
        ]:  # they end one by one, so that 4 are never free at once
            desk.end(number)
    assert wide in desk.running
    assert step < 30


def test_a_light_task_gets_its_slot_when_it_has_aged_and_not_before():
    desk = Desk({("pool", "default"): 1})
    (light,) = desk.add(Job("light", weight=1))
    hours = 0.0
    while light not in desk.running:
        desk.add(Job("heavy", weight=16), Job("heavier", weight=16))
        desk.admit()
        for number in list(desk.running):
            if number != light:
                desk.end(number)
        desk.now += HOUR // 10
        hours += 0.1
        assert hours < 10
    assert 3.9 < hours < 4.4


def test_within_one_dag_a_light_task_ages_too():
    desk = Desk({("pool", "default"): 1})
    (light,) = desk.add(Job("d", weight=1))
    hours = 0.0
    while light not in desk.running:
        desk.add(Job("d", weight=16), Job("d", weight=16))
        desk.admit()
        for number in list(desk.running):
            if number != light:
                desk.end(number)
        desk.now += HOUR // 10
        hours += 0.1
        assert hours < 100
    assert 3.9 < hours < 8.5
