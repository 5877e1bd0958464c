"""The serialised DAG: canonical, and read back as it was."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orch.domain.dagspec import DagSpec, RetrySpec, TaskSpec

FULL = DagSpec(
    "d",
    (
        TaskSpec("a", "BashOperator", retry=RetrySpec(2, 1.5, 2.0, 60.0), pool="p", pool_slots=2),
        TaskSpec("b", "Python", ("a",), "all_done", inputs=(("a", "return_value"),), executor="X"),
    ),
    schedule="0 6 * * *",
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    tags=("x", "y"),
    extra={"later": [1, 2]},
)


def test_a_spec_is_read_back_as_it_was_written():
    assert DagSpec.from_json(FULL.to_json()) == FULL


def test_the_hash_does_not_depend_on_the_order_of_tasks():
    turned = replace(FULL, tasks=FULL.tasks[::-1])
    assert turned.structure_hash == FULL.structure_hash


def test_a_change_changes_the_hash():
    assert DagSpec("d", FULL.tasks).structure_hash != FULL.structure_hash


def test_a_newer_format_is_refused():
    with pytest.raises(ValueError, match="newer release"):
        DagSpec.from_json('{"format":99,"dag_id":"d","tasks":[]}')


def test_unknown_fields_of_a_newer_minor_release_are_ignored():
    assert DagSpec.from_json('{"format":1,"dag_id":"d","tasks":[],"colour":"red"}') == DagSpec("d")


def test_the_graph_has_the_edges_of_the_tasks():
    assert list(FULL.graph.edges()) == [("a", "b")]
