"""Discovery: one walk over the dags folder that finds the Python files which are not ignored."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orch.dagfiles.ignore import IGNORE_FILE, IgnoreRules, is_ignored
from orch.dagfiles.sources import FileStat, is_hidden

SUFFIX = ".py"
VIRTUAL_ENVIRONMENT = "pyvenv.cfg"
"""A folder with this file holds installed packages, not DAG files."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one walk saw. Paths are relative to the dags folder, with `/` between the parts."""

    files: dict[str, FileStat] = field(default_factory=dict)
    """The Python files, in the order of their paths."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Path of a Python file that cannot even be looked at → why."""
    problems: list[str] = field(default_factory=list)
    """Why the walk did not see everything."""

    @property
    def is_complete(self) -> bool:
        """Whether a file that is not here does not exist: every folder could be listed."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    rules: tuple[IgnoreRules, ...]


def discover(folder: Path) -> Found:
    """Walk the folder once and return its Python files; hidden files, caches and ignored paths are left out.

    Symbolic links are followed; a folder that is reached twice is walked once. Nothing is read but ignore files.
    """
    found = Found()
    seen: set[tuple[int, int]] = set()
    waiting = [_Folder("", ())]
    while waiting:
        waiting.extend(reversed(list(_walk(folder, waiting.pop(), found, seen))))
    return Found(dict(sorted(found.files.items())), dict(sorted(found.unreadable.items())), found.problems)


def _walk(root: Path, folder: _Folder, found: Found, seen: set[tuple[int, int]]) -> Iterator[_Folder]:
    """Add the files of one folder to `found`; yield the folders in it."""
    here = root / folder.path
    try:
        status = here.stat()
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(here) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        if any(entry.name == VIRTUAL_ENVIRONMENT for entry in entries):
            return
        rules = _with_rules_of(here, folder, entries)
    except OSError as error:
        found.problems.append(f"folder {str(here)!r} cannot be read: {error.strerror or error}")
        return
    for entry in entries:
        if is_hidden(entry.name):
            continue
        path = f"{folder.path}/{entry.name}" if folder.path else entry.name
        if _is_folder(entry):
            if not is_ignored(path, rules, is_folder=True):
                yield _Folder(path, rules)
        elif entry.name.endswith(SUFFIX) and not is_ignored(path, rules, is_folder=False):
            _add(entry, path, found)


def _with_rules_of(here: Path, folder: _Folder, entries: list[os.DirEntry[str]]) -> tuple[IgnoreRules, ...]:
    if not any(entry.name == IGNORE_FILE for entry in entries):
        return folder.rules
    text = (here / IGNORE_FILE).read_text(encoding="utf-8", errors="replace")
    return (*folder.rules, IgnoreRules.parse(text, folder.path))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _add(entry: os.DirEntry[str], path: str, found: Found) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = path.encode("utf-8", "backslashreplace").decode()
        found.unreadable[shown] = "its name is not UTF-8; rename it"
        return
    try:
        status = entry.stat()
    except OSError as error:
        found.unreadable[path] = _why(entry, error)
        return
    if stat.S_ISREG(status.st_mode):
        found.files[path] = FileStat.of(status)
    else:
        found.unreadable[path] = "it is not a regular file"


def _why(entry: os.DirEntry[str], error: OSError) -> str:
    if entry.is_symlink():
        return f"the symbolic link to {str(Path(entry.path).readlink())!r} leads nowhere: {error.strerror}"
    return error.strerror or str(error)
