"""One suite, two runners: the engine with its database and the runner in this process tell the same story."""

import random

import pytest
from tests.contract.runners import Played, play_in_process, play_on_engine
from tests.contract.scenarios import SCENARIOS, Scenario, made_confluent, random_scenario

SEEDS = [random.Random(number).randrange(10**9) for number in range(15)]


def assert_expected(played: Played, scenario: Scenario) -> None:
    assert scenario.run_state in (None, played.run_state)
    assert {task_id: played.states[task_id] for task_id in scenario.states} == scenario.states


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_one_thread_moves_as_the_engine_does(scenario, tmp_path):
    here, there = play_in_process(scenario), play_on_engine(scenario, tmp_path)
    assert here.moves == there.moves
    assert (here.run_state, here.states, here.reasons) == (there.run_state, there.states, there.reasons)
    assert_expected(here, scenario)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_thread_moves_as_the_engine_does_on_a_random_dag(seed, tmp_path):
    scenario = random_scenario(seed, 25)
    print(scenario)
    here, there = play_in_process(scenario), play_on_engine(scenario, tmp_path)
    assert here.moves == there.moves
    assert (here.run_state, here.reasons) == (there.run_state, there.reasons)


@pytest.mark.parametrize("scenario", [each for each in SCENARIOS if "lost" not in str(each.script)], ids=str)
def test_many_threads_come_to_the_same_end(scenario):
    alone, together = play_in_process(scenario), play_in_process(scenario, parallelism=4)
    assert_expected(together, scenario)
    if scenario.is_confluent:
        assert together.of_task() == alone.of_task()
        assert (together.run_state, together.reasons) == (alone.run_state, alone.reasons)


@pytest.mark.parametrize("seed", SEEDS)
def test_many_threads_come_to_the_same_end_on_a_random_dag(seed):
    scenario = made_confluent(random_scenario(seed, 40))
    print(scenario)
    alone, together = play_in_process(scenario), play_in_process(scenario, parallelism=8)
    assert together.of_task() == alone.of_task()
    assert together.run_state == alone.run_state
