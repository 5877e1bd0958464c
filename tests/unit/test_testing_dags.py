"""The helper for authors' tests: run a DAG and assert how it ended."""

import pytest

from orch import DAG, task
from orch.errors import BadInput
from orch.testing import run_dag


def dag_with(tries_needed: int) -> DAG:
    @task(retries=1, retry_delay=3600)
    def work(ti=None):
        if ti.try_number < tries_needed:
            raise ValueError(f"try {ti.try_number}")
        return ti.try_number

    with DAG("helped") as dag:
        work()
    return dag


def test_a_retry_is_not_waited_for():
    assert run_dag(dag_with(2)).results == {"work": 2}


def test_a_failed_run_is_an_assertion_error_with_the_tracebacks():
    with pytest.raises(AssertionError, match=r"(?s)expected success: .*work: failed.*raise ValueError"):
        run_dag(dag_with(3))


def test_a_failure_can_be_expected():
    assert run_dag(dag_with(3), expect="failed", parallelism=2).tries("work") == 2


def test_a_success_that_was_not_expected_is_an_error():
    with pytest.raises(AssertionError, match=r"expected failed: run .* ended as success"):
        run_dag(dag_with(1), expect="failed")


def test_an_unknown_expectation_is_refused():
    with pytest.raises(BadInput, match="did you mean 'success'"):
        run_dag(dag_with(1), expect="sucess")
