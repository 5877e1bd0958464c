"""Jitter: an offset that a DAG keeps for ever, spread over all DAGs."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from orch.domain.jitter import offset_of

TEN_MINUTES = timedelta(minutes=10)


def test_the_offset_of_a_dag_is_the_same_in_every_release() -> None:
    assert offset_of("weather", TEN_MINUTES) == timedelta(microseconds=566_197_982)
    assert offset_of("wetter_größe", timedelta(hours=1)) == timedelta(microseconds=3_034_398_662)


def test_no_jitter_is_no_offset() -> None:
    assert offset_of("weather", timedelta(0)) == timedelta(0)


def test_many_dags_are_spread_over_the_whole_span() -> None:
    minutes = [offset_of(f"dag_{n}", TEN_MINUTES) // timedelta(minutes=1) for n in range(1000)]
    assert set(minutes) == set(range(10))
    assert all(60 <= minutes.count(minute) <= 140 for minute in range(10))


@given(st.text(min_size=1), st.timedeltas(timedelta(microseconds=1), timedelta(days=36_500)))
def test_the_offset_is_from_zero_to_the_jitter(dag_id: str, jitter: timedelta) -> None:
    assert timedelta(0) <= offset_of(dag_id, jitter) < jitter
