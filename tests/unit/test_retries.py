"""Retries: counts, delays, caps."""

from datetime import timedelta

import pytest

from orch.domain.dagspec import RetrySpec
from orch.domain.retries import after_failure, jitter, retry_delay


def test_a_task_without_retries_fails_at_once():
    verdict = after_failure(RetrySpec(), try_number=1, max_tries=1, retryable=True)
    assert (verdict.delay, verdict.reason) == (None, "task_failed")


def test_the_last_try_ends_it():
    spec = RetrySpec(retries=2)
    assert after_failure(spec, try_number=2, max_tries=3, retryable=True).delay == timedelta(minutes=5)
    assert after_failure(spec, try_number=3, max_tries=3, retryable=True).reason == "tries_used_up"


def test_a_failure_for_good_is_not_tried_again():
    verdict = after_failure(RetrySpec(retries=5), try_number=1, max_tries=6, retryable=False)
    assert (verdict.delay, verdict.reason) == (None, "failed_for_good")


@pytest.mark.parametrize(("try_number", "seconds"), [(1, 10), (2, 20), (3, 40), (4, 60), (5000, 60)])
def test_an_exponential_delay_doubles_up_to_its_cap(try_number, seconds):
    spec = RetrySpec(9, delay_seconds=10, multiplier=2, max_delay_seconds=60)
    assert retry_delay(spec, try_number) == timedelta(seconds=seconds)


def test_a_delay_never_exceeds_a_year():
    assert retry_delay(RetrySpec(1, delay_seconds=1e30, multiplier=9), 50) == timedelta(days=365)


def test_jitter_depends_on_its_key_only():
    assert jitter("a", timedelta(seconds=10)) == jitter("a", timedelta(seconds=10))
    assert jitter("a", timedelta(seconds=10)) != jitter("b", timedelta(seconds=10))
    assert timedelta(0) <= jitter("x", timedelta(seconds=10)) < timedelta(seconds=10)
