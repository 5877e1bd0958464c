"""Tests of DAGs: run one in this process and assert how it ended."""

from typing import Any

from orch.authoring.dag import DAG
from orch.authoring.run_result import RunFailed, RunResult
from orch.domain.states import RunState
from orch.errors import BadInput, nearest


def run_dag(dag: DAG, *, expect: str = "success", **arguments: Any) -> RunResult:
    """Run the DAG with `DAG.test()` and return the result; AssertionError when it does not end as expected.

    `expect` is the state of the run: "success", "failed" or "cancelled". The error shows each failed task with its
    traceback. Retry delays are leapt over unless `wait_for_retries=True`. Threads that do not end are an error,
    too. The other arguments are those of `DAG.test()`.
    """
    known = {state.value for state in RunState}
    if expect not in known:
        raise BadInput(f"expect={expect!r} is no state of a run{nearest(expect, known)}")
    result = dag.test(**{"wait_for_retries": False, **arguments})
    if result.state != expect:
        raise AssertionError(f"expected {expect}: {_story(result)}")
    if result.stuck:
        raise AssertionError(
            f"these tasks still run in threads that nobody can end: {', '.join(result.stuck)}"
        )
    return result


def _story(result: RunResult) -> str:
    try:
        result.raise_for_state()
    except RunFailed as failure:
        return str(failure)
    return f"run {result.run_id!r} of DAG {result.dag_id!r} ended as {result.state}"
