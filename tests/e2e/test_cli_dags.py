"""`orch dags`: checking files without a database, and showing the stored import errors."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

Orch = Callable[..., subprocess.CompletedProcess[str]]
GOOD = "from orch import DAG\nDAG('good')\n"
BAD = "import orch\n1 / 0\n"


@pytest.fixture
def orch(tmp_path: Path) -> Orch:
    """Run `orch` in a folder with an empty dags folder."""
    (tmp_path / "dags").mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ORCH_")}

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "orch.cli.main", *args]
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)

    return run


def as_json(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def test_check_of_good_files_says_so_and_needs_no_database(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "dags/a.py").write_text(GOOD)
    (tmp_path / "dags/other.py").write_text("x = 1\n")
    done = orch("dags", "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "1 file checked, 1 DAG, 0 files with problems, 1 file without the word dag left out (other.py)\n"
    )
    assert not (tmp_path / ".orch").exists()


def test_check_tells_that_a_file_declares_no_dag(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "dags/a.py").write_text("from orch import dag\n@dag\ndef flow(): ...\n")
    done = orch("dags", "check")
    assert "a.py declares no DAG: call the function `flow()` at the end of the file\n" in done.stdout


def test_check_of_a_bad_file_shows_line_and_traceback_and_fails(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "dags/a.py").write_text(BAD)
    done = orch("dags", "check")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "a.py:2: ZeroDivisionError: division by zero",
        "    Traceback (most recent call last):",
        f'      File "{tmp_path}/dags/a.py", line 2, in <module>',
        "        1 / 0",
        "        ~~^~~",
        "    ZeroDivisionError: division by zero",
        "1 file checked, 0 DAGs, 1 file with problems",
    ]


def test_check_finds_two_files_with_one_dag_id(orch: Orch, tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / "dags" / name).write_text(GOOD)
    assert "DAG 'good' is declared in a.py and in b.py" in orch("dags", "check").stdout


def test_check_of_one_file_leaves_the_others_alone(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "dags/team").mkdir()
    (tmp_path / "dags/team/a.py").write_text("import helper\n" + GOOD)
    (tmp_path / "dags/helper.py").write_text("x = 1\n")
    (tmp_path / "dags/b.py").write_text(BAD)
    for path in ("dags/team/a.py", "dags/team"):
        done = orch("dags", "check", path, "--json")
        assert done.returncode == 0
        (file,) = as_json(done)["files"]
        assert (file["path"], file["dag_ids"], file["problems"]) == ("team/a.py", ["good"], [])


def test_check_of_a_file_elsewhere_takes_its_folder_as_the_dags_folder(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text("import new_helper\n" + GOOD)
    (tmp_path / "new_helper.py").write_text("x = 1\n")
    done = orch("dags", "check", "new.py", "--json")
    assert [file["dag_ids"] for file in as_json(done)["files"]] == [["good"]]


def test_check_of_a_named_file_imports_it_even_when_it_is_ignored(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "dags/.orchignore").write_text("draft.py\n")
    (tmp_path / "dags/draft.py").write_text(BAD)
    assert orch("dags", "check").returncode == 0
    assert orch("dags", "check", "dags/draft.py").returncode == 1


def test_check_of_a_path_that_is_not_there_is_bad_input(orch: Orch, tmp_path: Path) -> None:
    done = orch("dags", "check", "nowhere.py")
    assert done.returncode == 2
    assert done.stderr == f"error: there is no file or folder {str(tmp_path / 'nowhere.py')!r}\n"


def test_check_json_has_every_detail(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "dags/a.py").write_text(BAD)
    done = orch("dags", "check", "--json")
    document = as_json(done)
    (problem,) = document["files"][0]["problems"]
    assert (problem["path"], problem["line"], problem["message"]) == (
        "a.py",
        2,
        "ZeroDivisionError: division by zero",
    )
    assert problem["traceback"].startswith("Traceback")
    assert (document["skipped"], document["unseen"]) == (0, [])


def test_errors_shows_what_is_stored_and_fails_while_there_is_anything(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "dags/a.py").write_text(BAD)
    done = orch("dags", "errors", "--json")
    assert done.returncode == 1
    (error,) = as_json(done)
    assert (error["path"], error["line"], error["message"]) == (
        "a.py",
        2,
        "ZeroDivisionError: division by zero",
    )
    assert error["created_at"].endswith("+00:00")
    assert "    ZeroDivisionError: division by zero" in orch("dags", "errors").stdout.splitlines()
    (tmp_path / "dags/a.py").write_text(GOOD)
    assert (orch("dags", "errors").stdout, orch("dags", "errors").returncode) == ("0 import errors\n", 0)


def test_list_is_the_view_of_list_dags(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "dags/a.py").write_text(GOOD)
    assert as_json(orch("dags", "list", "--json")) == as_json(orch("list-dags", "--json"))
