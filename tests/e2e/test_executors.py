"""Executors with real processes: the one that the settings name, or the one that a task names."""

from itertools import pairwise

import pytest

pytestmark = pytest.mark.e2e

WIDE = """
from orch import DAG, task

with DAG("wide", schedule=None):

    @task
    def spin(n):
        return sum(range(200_000))

    [spin.override(task_id=f"t{n}")(n) for n in range(6)]
"""


def overlaps(tasks: list[dict[str, str]]) -> int:
    spans = sorted((task["started_at"], task["ended_at"]) for task in tasks)
    return sum(start < end for (_, end), (start, _) in pairwise(spans))


def test_the_sequential_executor_runs_one_task_at_a_time(site):
    site.dag("wide", WIDE)
    done = site.orch("run", "wide", ORCH_CORE_EXECUTOR="SequentialExecutor", ORCH_WORKER_PARALLELISM="6")
    assert done.returncode == 0, done.stderr
    assert overlaps(site.json("status", "wide")["tasks"]) == 0


def test_a_task_may_name_the_sequential_executor_while_the_others_run_side_by_side(site):
    site.dag("wide", WIDE.replace("@task\n", '@task(executor="SequentialExecutor")\n'))
    done = site.orch("run", "wide", ORCH_WORKER_PARALLELISM="6")
    assert done.returncode == 0, done.stderr
    assert overlaps(site.json("status", "wide")["tasks"]) == 0


def test_an_unknown_executor_of_the_settings_is_refused_with_the_nearest_name(site):
    site.dag("wide", WIDE)
    done = site.orch("run", "wide", ORCH_CORE_EXECUTOR="LocalExecuter")
    assert done.returncode == 2
    assert "did you mean 'LocalExecutor'?" in done.stderr
