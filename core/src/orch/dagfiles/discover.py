"""Discovery: one walk over the dags folder that finds the Python files which are not ignored."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from orch.dagfiles.ignore import IGNORE_FILE, IgnoreRules, is_ignored
from orch.dagfiles.sources import FileStat, is_hidden
from orch.domain.sources import PYTHON, PinRule

SUFFIX = PYTHON
VIRTUAL_ENVIRONMENT = "pyvenv.cfg"
"""A folder with this file holds installed packages, not DAG files."""
INSTALLED = "site-packages"
"""A folder of this name holds packages that are never stored for the runs."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one walk saw. Paths are relative to the dags folder, with `/` between the parts."""

    files: dict[str, FileStat] = field(default_factory=dict)
    """The Python files, in the order of their paths."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Path of a Python file that cannot even be looked at → why."""
    problems: list[str] = field(default_factory=list)
    """Why the walk did not see everything."""
    pinned: dict[str, FileStat] = field(default_factory=dict)
    """The files whose content is stored for the runs; Python files that are ignored are among them."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Path of a folder that a symbolic link leads to → the path under which it was walked."""

    @property
    def is_complete(self) -> bool:
        """Whether a file that is not here does not exist: every folder could be listed."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    rules: tuple[IgnoreRules, ...]
    is_ignored: bool = False


def discover(folder: Path, rule: PinRule | None = None) -> Found:
    """Walk the folder once and return its Python files; hidden files, caches and ignored paths are left out.

    Symbolic links are followed; a folder that is reached twice is walked once. Nothing is read but ignore files.
    With `rule`, what is stored for the runs is returned as well.
    """
    walk = _Walk(folder, rule)
    while walk.waiting or walk.ignored:
        # Ignored folders last: under another path, the same folder may be one that counts.
        following = walk.waiting.pop() if walk.waiting else walk.ignored.pop()
        walk.visit(following)
    found = walk.found
    return Found(
        dict(sorted(found.files.items())),
        dict(sorted(found.unreadable.items())),
        found.problems,
        found.pinned,
        found.aliases,
    )


class _Walk:
    """One walk under way."""

    def __init__(self, root: Path, rule: PinRule | None) -> None:
        self.found = Found()
        self.waiting = [_Folder("", ())]
        self.ignored: list[_Folder] = []
        self._root = root
        self._rule = rule
        self._seen: dict[tuple[int, int], str] = {}

    def visit(self, folder: _Folder) -> None:
        """Add the files of one folder to what was found, and the folders in it to those that wait."""
        here = self._root / folder.path
        try:
            status = here.stat()
            if (former := self._seen.setdefault((status.st_dev, status.st_ino), folder.path)) != folder.path:
                self.found.aliases[folder.path] = former
                return
            with os.scandir(here) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
            if any(entry.name == VIRTUAL_ENVIRONMENT for entry in entries):
                return
            rules = _with_rules_of(here, folder, entries)
        except OSError as error:
            if not folder.is_ignored:
                reason = error.strerror or error
                self.found.problems.append(f"folder {str(here)!r} cannot be read: {reason}")
            return
        if folder.is_ignored and not _has_code(entries):
            return
        self._enter(folder, entries, rules)

    def _enter(
        self, folder: _Folder, entries: list[os.DirEntry[str]], rules: tuple[IgnoreRules, ...]
    ) -> None:
        inside = []
        for entry in entries:
            if is_hidden(entry.name):
                continue
            path = f"{folder.path}/{entry.name}" if folder.path else entry.name
            if _is_folder(entry):
                hidden = folder.is_ignored or is_ignored(path, rules, is_folder=True)
                inside.append(_Folder(path, rules, hidden))
            else:
                hidden = folder.is_ignored or is_ignored(path, rules, is_folder=False)
                self._add(entry, path, is_dag_file=entry.name.endswith(SUFFIX) and not hidden)
        self.waiting.extend(reversed([each for each in inside if not each.is_ignored]))
        if self._rule is not None:
            self.ignored.extend(each for each in inside if each.is_ignored)

    def _add(self, entry: os.DirEntry[str], path: str, *, is_dag_file: bool) -> None:
        """Look at a file, if it is a DAG file or stored for the runs."""
        if not is_dag_file and not (self._rule is not None and self._rule.covers(entry.name, 0)):
            return
        try:
            path.encode()
        except UnicodeEncodeError:
            if is_dag_file:
                shown = path.encode("utf-8", "backslashreplace").decode()
                self.found.unreadable[shown] = "its name is not UTF-8; rename it"
            return
        try:
            status = entry.stat()
        except OSError as error:
            if is_dag_file:
                self.found.unreadable[path] = _why(entry, error)
            return
        if stat.S_ISREG(status.st_mode):
            seen = FileStat.of(status)
            if is_dag_file:
                self.found.files[path] = seen
            installed = INSTALLED in path.split("/")
            if self._rule is not None and self._rule.covers(entry.name, seen.size) and not installed:
                self.found.pinned[path] = seen
        elif is_dag_file:
            self.found.unreadable[path] = "it is not a regular file"


def _has_code(entries: list[os.DirEntry[str]]) -> bool:
    """Return whether an ignored folder has Python files, so that a task may import from it; data is left alone."""
    return any(entry.name.endswith(SUFFIX) for entry in entries)


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


def _why(entry: os.DirEntry[str], error: OSError) -> str:
    if entry.is_symlink():
        return f"the symbolic link to {str(Path(entry.path).readlink())!r} leads nowhere: {error.strerror}"
    return error.strerror or str(error)
