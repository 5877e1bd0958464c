"""Ownership: which file has a DAG that several declare."""

from orch.dagfiles.ownership import decide
from orch.dagfiles.results import ImportedDag, ImportProblem, ImportResult


def result(path: str, *dag_ids: str, broken: bool = False) -> ImportResult:
    dags = tuple(ImportedDag(dag_id, "{}", "hash") for dag_id in dag_ids)
    return ImportResult(path, dags, (ImportProblem("broken"),) if broken else ())


def test_first_path_wins_among_new_files_and_the_message_names_both() -> None:
    verdict = decide([result("b.py", "x"), result("a.py", "x")], {})
    first, second = verdict.decided
    assert (first.path, first.problems) == ("a.py", ())
    assert second.problems[0].message == (
        "DAG 'x' is declared in a.py and in b.py; a.py keeps it: give the one in b.py another id"
    )
    assert verdict.rivals == {"b.py": frozenset({"a.py"})}


def test_file_that_has_the_dag_keeps_it_whatever_its_path() -> None:
    verdict = decide([result("a.py", "x")], {"x": "z.py"})
    assert "z.py keeps it" in verdict.decided[0].problems[0].message


def test_file_that_changes_keeps_its_dag_against_a_new_one() -> None:
    verdict = decide([result("a.py", "x"), result("z.py", "x")], {"x": "z.py"})
    assert [(r.path, bool(r.problems)) for r in verdict.decided] == [("a.py", True), ("z.py", False)]


def test_dag_moves_when_its_file_gives_it_up_in_the_same_batch() -> None:
    verdict = decide([result("a.py", "x"), result("z.py", "y")], {"x": "z.py"})
    assert [bool(r.problems) for r in verdict.decided] == [False, False]


def test_broken_file_gives_nothing_up() -> None:
    verdict = decide([result("a.py", "x"), result("z.py", broken=True)], {"x": "z.py"})
    assert [bool(r.problems) for r in verdict.decided] == [True, True]


def test_claim_waits_while_the_owner_is_being_imported() -> None:
    verdict = decide([result("a.py", "x")], {"x": "z.py"}, pending={"z.py"})
    assert (verdict.decided, [r.path for r in verdict.held]) == ([], ["a.py"])


def test_claim_waits_for_a_pending_file_before_it_that_may_declare_the_same() -> None:
    verdict = decide(
        [result("b.py", "x"), result("c.py", "y")], {}, {"a.py"}, lambda _, dag_id: dag_id == "x"
    )
    assert [r.path for r in verdict.held] == ["b.py"]
    assert [r.path for r in verdict.decided] == ["c.py"]


def test_claim_waits_for_no_file_behind_it_and_owner_for_none_at_all() -> None:
    verdict = decide([result("b.py", "x"), result("d.py", "y")], {"y": "d.py"}, {"c.py"}, lambda *_: True)
    assert [r.path for r in verdict.decided] == ["b.py", "d.py"]


def test_one_lost_dag_refuses_the_whole_file() -> None:
    verdict = decide([result("b.py", "mine", "x")], {"x": "a.py"})
    assert len(verdict.decided[0].problems) == 1
