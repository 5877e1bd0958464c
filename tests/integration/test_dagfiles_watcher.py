"""The watcher: a descriptor becomes readable when DAG files may have changed."""

import select
from collections.abc import Iterator
from pathlib import Path

import pytest
from watchdog.events import DirDeletedEvent, FileModifiedEvent, FileMovedEvent, FileSystemEvent

from orch.dagfiles.watcher import FolderWatcher, is_relevant

WAIT = 30.0


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    folder = tmp_path / "dags"
    folder.mkdir()
    return folder


@pytest.fixture
def watcher(dags: Path) -> Iterator[FolderWatcher]:
    with FolderWatcher(dags) as opened:
        opened.drain()
        yield opened


def rings(watcher: FolderWatcher) -> bool:
    select.select([watcher], [], [], WAIT)
    return watcher.drain()


def test_new_changed_and_removed_files_ring(watcher: FolderWatcher, dags: Path) -> None:
    (dags / "a.py").write_text("1")
    assert rings(watcher)
    (dags / "a.py").unlink()
    assert rings(watcher)


def test_folder_that_took_the_place_of_the_watched_one_is_watched(watcher: FolderWatcher, dags: Path) -> None:
    dags.rename(dags.with_name("old"))
    dags.mkdir()
    watcher.attach()
    assert rings(watcher)  # what is in the new folder has not been looked at yet
    (dags / "a.py").write_text("1")
    assert rings(watcher)


def test_missing_folder_is_watched_when_it_appears(tmp_path: Path) -> None:
    with FolderWatcher(tmp_path / "later") as watcher:
        (tmp_path / "later").mkdir()
        watcher.attach()
        watcher.drain()
        (tmp_path / "later/a.py").write_text("1")
        assert rings(watcher)


@pytest.mark.parametrize(
    ("event", "relevant"),
    [
        (FileModifiedEvent("/dags/a.py"), True),
        (FileModifiedEvent("/dags/.orchignore"), True),
        (FileMovedEvent("/dags/a.tmp", "/dags/a.py"), True),
        (DirDeletedEvent("/dags/team"), True),
        (FileModifiedEvent("/dags/out/result.csv"), False),
        (FileModifiedEvent("/dags/.a.py.swp"), False),
        (FileModifiedEvent("/dags/__pycache__/a.cpython-311.pyc"), False),
        (DirDeletedEvent("/dags/__pycache__"), False),
    ],
)
def test_only_what_can_change_the_dags_rings(event: FileSystemEvent, relevant: bool) -> None:
    assert is_relevant(event) is relevant
