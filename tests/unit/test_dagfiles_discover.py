"""Discovery: which files one walk over the dags folder finds, and what it says of those it cannot see."""

import os
from pathlib import Path

import pytest

from orch.dagfiles.discover import discover


def make(folder: Path, *paths: str, text: str = "import orch\n") -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def test_python_files_of_all_folders_are_found_in_order(tmp_path: Path) -> None:
    make(tmp_path, "b.py", "a/z.py", "a.py", "a/b/c.py", "notes.txt")
    assert list(discover(tmp_path).files) == ["a.py", "a/b/c.py", "a/z.py", "b.py"]


def test_hidden_files_caches_and_virtual_environments_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, ".git/a.py", ".hidden.py", "__pycache__/a.py", "env/pyvenv.cfg", "env/lib/a.py", "a.py")
    assert list(discover(tmp_path).files) == ["a.py"]


def test_ignored_files_and_folders_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "lib/a.py", "lib/deep/b.py", "team/old.py", "team/new.py")
    (tmp_path / ".orchignore").write_text("lib/\n")
    (tmp_path / "team/.orchignore").write_text("old.py\n")
    assert list(discover(tmp_path).files) == ["team/new.py"]


def test_ignore_file_that_is_not_text_does_not_stop_the_walk(tmp_path: Path) -> None:
    make(tmp_path, "a.py")
    (tmp_path / ".orchignore").write_bytes(b"\xff\xfe\x00")
    assert list(discover(tmp_path).files) == ["a.py"]


def test_folder_whose_name_ends_in_py_is_a_folder(tmp_path: Path) -> None:
    make(tmp_path, "odd.py/inner.py")
    found = discover(tmp_path)
    assert list(found.files) == ["odd.py/inner.py"]
    assert found.unreadable == {}


def test_dangling_link_is_unreadable_and_the_walk_complete(tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to("nowhere.py")
    found = discover(tmp_path)
    assert found.unreadable == {
        "gone.py": "the symbolic link to 'nowhere.py' leads nowhere: No such file or directory"
    }
    assert found.is_complete


def test_named_pipe_is_unreadable_and_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    assert discover(tmp_path).unreadable == {"pipe.py": "it is not a regular file"}


def test_name_that_is_not_utf8_is_unreadable(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.py")).write_text("orch")
    assert discover(tmp_path).unreadable == {"\\udcff.py": "its name is not UTF-8; rename it"}


def test_loop_of_links_is_walked_once(tmp_path: Path) -> None:
    make(tmp_path, "team/a.py")
    (tmp_path / "team/again").symlink_to(tmp_path)
    assert list(discover(tmp_path).files) == ["team/a.py"]


def test_linked_folder_is_followed(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", "a.py")
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags/team").symlink_to(tmp_path / "elsewhere")
    assert list(discover(tmp_path / "dags").files) == ["team/a.py"]


def test_missing_dags_folder_makes_the_walk_incomplete(tmp_path: Path) -> None:
    found = discover(tmp_path / "nowhere")
    assert not found.is_complete
    assert found.problems == [
        f"folder {str(tmp_path / 'nowhere')!r} cannot be read: No such file or directory"
    ]


def test_folder_that_cannot_be_listed_makes_the_walk_incomplete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a.py", "shut/b.py")
    scan = os.scandir

    def scandir(path: Path) -> object:  # the superuser ignores modes, so the system is made to refuse
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = discover(tmp_path)
    assert list(found.files) == ["a.py"]
    assert not found.is_complete
