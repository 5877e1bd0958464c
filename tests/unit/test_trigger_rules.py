"""Trigger rules: each against its definition in words, over every combination of three upstreams."""

import itertools

import pytest

from orch.domain.states import TaskState
from orch.domain.trigger_rules import TriggerRule, UpstreamCounts, Verdict, evaluate

S, F, U, K, N = (
    TaskState.SUCCESS,
    TaskState.FAILED,
    TaskState.UPSTREAM_FAILED,
    TaskState.SKIPPED,
    TaskState.NONE,
)
FINAL = (S, F, U, K)


def counts_of(states: tuple[TaskState, ...], setups: tuple[bool, ...] = (False,) * 3) -> UpstreamCounts:
    counts = UpstreamCounts(total=len(states), setup_total=sum(setups[: len(states)]))
    for state, is_setup in zip(states, setups, strict=False):
        if state is not N:
            counts.add(state, is_setup=is_setup)
    return counts


HOLDS = {
    "all_success": lambda up: all(s is S for s in up),
    "all_failed": lambda up: all(s in (F, U) for s in up),
    "all_done": lambda up: N not in up,
    "all_done_min_one_success": lambda up: N not in up and S in up,
    "all_done_setup_success": lambda up: N not in up,
    "one_success": lambda up: S in up,
    "one_failed": lambda up: F in up or U in up,
    "one_done": lambda up: bool({S, F, U} & set(up)),
    "none_failed": lambda up: N not in up and not {F, U} & set(up),
    "none_skipped": lambda up: N not in up and K not in up,
    "always": lambda up: True,
    "none_failed_min_one_success": lambda up: N not in up and not {F, U} & set(up) and S in up,
    "all_skipped": lambda up: all(s is K for s in up),
}


def test_the_definitions_name_all_thirteen_rules():
    assert set(HOLDS) == set(TriggerRule)
    assert len(TriggerRule) == 13


@pytest.mark.parametrize("rule", list(TriggerRule))
def test_a_rule_lets_run_exactly_when_its_definition_holds(rule):
    for up in itertools.product((*FINAL, N), repeat=3):
        assert (evaluate(rule, counts_of(up)) is Verdict.RUN) == HOLDS[rule](up), up


@pytest.mark.parametrize("rule", list(TriggerRule))
def test_a_rule_never_waits_once_all_upstreams_have_ended(rule):
    for up in itertools.product(FINAL, repeat=3):
        assert evaluate(rule, counts_of(up)) is not Verdict.WAIT, up


@pytest.mark.parametrize("rule", list(TriggerRule))
def test_a_negative_verdict_is_final(rule):
    for up in itertools.product((*FINAL, N), repeat=3):
        verdict = evaluate(rule, counts_of(up))
        if verdict in (Verdict.SKIP, Verdict.UPSTREAM_FAILED):
            for ends in itertools.product(FINAL, repeat=up.count(N)):
                rest = iter(ends)
                full = tuple(next(rest) if s is N else s for s in up)
                assert evaluate(rule, counts_of(full)) is not Verdict.RUN, (up, full)


@pytest.mark.parametrize("rule", list(TriggerRule))
def test_a_task_without_upstreams_runs(rule):
    assert evaluate(rule, UpstreamCounts()) is Verdict.RUN


@pytest.mark.parametrize(
    ("up", "verdict"),
    [
        ((F, N), Verdict.UPSTREAM_FAILED),
        ((U, N), Verdict.UPSTREAM_FAILED),
        ((K, N), Verdict.SKIP),
        ((K, F), Verdict.UPSTREAM_FAILED),
    ],
)
def test_all_success_gives_up_early_and_a_failure_outweighs_a_skip(up, verdict):
    assert evaluate(TriggerRule.ALL_SUCCESS, counts_of(up)) is verdict


def test_one_success_is_skipped_when_all_were_skipped_and_fails_otherwise():
    assert evaluate(TriggerRule.ONE_SUCCESS, counts_of((K, K))) is Verdict.SKIP
    assert evaluate(TriggerRule.ONE_SUCCESS, counts_of((K, F))) is Verdict.UPSTREAM_FAILED


def test_all_done_setup_success_looks_at_setups_only():
    rule, setups = TriggerRule.ALL_DONE_SETUP_SUCCESS, (True, False)
    assert evaluate(rule, counts_of((S, F), setups)) is Verdict.RUN
    assert evaluate(rule, counts_of((F, S), setups)) is Verdict.UPSTREAM_FAILED
    assert evaluate(rule, counts_of((K, S), setups)) is Verdict.SKIP


def test_cancelled_counts_as_failed_and_removed_as_skipped():
    assert evaluate(TriggerRule.ALL_SUCCESS, counts_of((TaskState.CANCELLED,))) is Verdict.UPSTREAM_FAILED
    assert evaluate(TriggerRule.ALL_SKIPPED, counts_of((TaskState.REMOVED,))) is Verdict.RUN
