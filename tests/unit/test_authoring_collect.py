"""Collecting: which DAGs belong to the file that is being imported."""

from pathlib import Path

import pytest

from orch import DAG, DagDefinitionError
from orch.authoring.collect import collecting


def test_dags_join_the_open_collection_only() -> None:
    DAG("before")
    with collecting() as dags:
        one, two = DAG("one"), DAG("two")
    DAG("after")
    assert dags == [one, two]


def test_collections_nest() -> None:
    with collecting() as outer:
        with collecting() as inner:
            DAG("a")
        DAG("a")
    assert [len(outer), len(inner)] == [1, 1]


def test_two_dags_of_one_id_are_refused_with_the_file() -> None:
    code = compile("from orch import DAG\nDAG('a')\nDAG('a')", "f.py", "exec")
    with collecting(), pytest.raises(DagDefinitionError, match=r"DAG 'a' is defined twice in f\.py"):
        exec(code, {"__file__": "f.py"})


def test_a_file_gets_what_its_own_top_level_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "collect_factory.py").write_text(
        "from orch import DAG\nDAG('of_the_factory')\ndef make(name):\n    return DAG(name)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    code = compile("import collect_factory\ncollect_factory.make('made')", "f.py", "exec")
    with collecting("f.py") as dags:
        exec(code, {"__file__": "f.py", "__name__": "f"})
    assert [dag.dag_id for dag in dags] == ["made"]
