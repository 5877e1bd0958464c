"""Runs whose DAG file is edited before they end."""

import pytest

pytestmark = pytest.mark.e2e

DAG = """
from orch import DAG, task

with DAG("edited", schedule=None):

    @task
    def {name}():
        return 1

    {name}()
"""


def test_a_task_that_the_edited_file_has_no_more_fails_with_that_reason(site):
    site.dag("edited", DAG.format(name="extract"))
    assert site.orch("trigger", "edited").returncode == 0
    site.dag("edited", DAG.format(name="extract_all"))
    site.up().wait_for("^run edited .* failed")
    why = site.orch("why", "edited", "extract").stdout
    assert "has no task 'extract'; did you mean 'extract_all'?" in why
    assert "put it back, or make a new run" in why
