"""Live links: how a layout leads to what is not stored - data, folders without code - where it is, as it is now."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from orch.domain.sources import PinRule

SETTLED_NS = 2_000_000_000
"""A folder that changed less than two seconds ago may change again without a new time stamp."""
CACHE = "__pycache__"

_EXTENSIONS = tuple(EXTENSION_SUFFIXES)

_Look = tuple[int, int, int]
"""How a folder looks: equal looks of a settled one mean equal names in it."""


class LiveLinks:
    """The live links of all layouts of one home. Any number of processes may keep them up to date at once."""

    def __init__(self, dags_folder: Path, rule: PinRule, folder_mode: int) -> None:
        self._dags_folder = dags_folder
        self._rule = rule
        self._folder_mode = folder_mode
        self._looks: dict[Path, dict[Path, tuple[str, _Look | None]]] = {}
        """Of each layout: folder in it → the live one, and how that looked when its links were made."""

    def make(self, layout: Path, folder: Path) -> None:
        """Link what is not stored and has no name yet in this folder of a new layout; code is left out."""
        live = self._dags_folder / folder.relative_to(layout)
        present = {path.name for path in folder.iterdir()}
        with suppress(OSError), os.scandir(live) as entries:
            for entry in entries:
                if entry.name not in present and not self._is_code(entry):
                    (folder / entry.name).symlink_to(live / entry.name)

    def refresh(self, layout: Path) -> None:
        """Link what has come since, but for code, and remove links to what is gone; a stat a folder if nothing is.

        What cannot be read or written now is looked at again the next time.
        """
        try:
            if not (looks := self._looks.get(layout)):
                looks = self._looks[layout] = self._folders(layout)
            for folder, (live, known) in looks.items():
                look = _look(live)
                if look is not None and look != known:
                    is_settled = look[1] < time.time_ns() - SETTLED_NS
                    self._renew(layout, folder, Path(live))
                    looks[folder] = (live, look if is_settled else None)
        except OSError:
            self.forget(layout)

    def forget(self, layout: Path) -> None:
        """Look at all folders of this layout the next time: it is another one, or is gone."""
        self._looks.pop(layout, None)

    def _folders(self, layout: Path) -> dict[Path, tuple[str, _Look | None]]:
        found = [Path(folder) for folder, _, _ in os.walk(layout)]
        return {
            folder: (str(self._dags_folder / folder.relative_to(layout)), None)
            for folder in found
            if folder.name != CACHE
        }

    def _renew(self, layout: Path, folder: Path, live: Path) -> None:
        with _locked(layout):
            with os.scandir(live) as entries:
                there = {entry.name: entry for entry in entries}
            present = {path.name: path for path in folder.iterdir()}
            gone = [path for name, path in present.items() if name not in there and _leads_to(path, live)]
            come = [name for name, entry in there.items() if name not in present and self._is_data(entry)]
            if not gone and not come:
                return
            folder.chmod(0o700)
            try:
                for path in gone:
                    path.unlink()
                for name in come:
                    (folder / name).symlink_to(live / name)
            finally:
                folder.chmod(self._folder_mode)

    def _is_data(self, entry: os.DirEntry[str]) -> bool:
        return not entry.name.endswith(_EXTENSIONS) and not self._is_code(entry)

    def _is_code(self, entry: os.DirEntry[str]) -> bool:
        if entry.name == CACHE:
            return True
        try:
            return entry.is_file() and self._rule.covers(entry.name, entry.stat().st_size)
        except OSError:
            return False


def _leads_to(path: Path, live: Path) -> bool:
    """Return whether this is a live link that may be removed.

    An extension module that is built anew is gone for a moment, and would not be linked again.
    """
    is_kept = path.name.endswith(_EXTENSIONS)
    return not is_kept and path.is_symlink() and path.readlink() == live / path.name


def _look(folder: str) -> _Look | None:
    """Return how a folder looks; None when it is not there. No copying tool can set back the second number."""
    try:
        found = os.stat(folder)  # noqa: PTH116  # a path is three times as slow
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino


@contextmanager
def _locked(layout: Path) -> Iterator[None]:
    """Hold a lock that ends with the process: one makes a folder writable while another makes it read-only."""
    fd = os.open(layout, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
