"""The recorder: notes which files below the dags folder an import uses, and what was in them."""

import inspect
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from orch.dagfiles.sources import digest_file, is_hidden

_LISTINGS = frozenset({"os.listdir", "os.scandir"})
_WATCHED = _LISTINGS | {"open"}


class SourceRecorder:
    """Watches what this process opens and lists. Meant for a process that does one import and ends.

    A file is hashed just before it is opened for the first time: should it change before it is read, the hash
    is the older one, and the next walk finds the difference. The other way round nobody would.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._roots = tuple(dict.fromkeys((str(folder), str(folder.resolve()))))
        self._read: dict[str, str] = {}
        self._written: set[str] = set()
        self._is_on = True

    def install(self) -> None:
        """Begin to watch; there is no way back in this process."""
        sys.addaudithook(self._audit)

    def sources(self) -> dict[str, str]:
        """Stop watching; return relative path → digest of everything that was used and not written."""
        self._is_on = False
        return {path: self._read[path] for path in sorted(self._read.keys() - self._written)}

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event in _WATCHED and self._is_on and isinstance(args[0], str | bytes):
            self._is_on = False  # to hash a file is to open it
            with suppress(Exception):  # an error here would make the author's own open() fail
                self._note(event, args)
            self._is_on = True

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        path = self._relative(os.fsdecode(args[0]))
        if path is None or (event in _LISTINGS and _is_import_system()):
            return
        if event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self._written.add(path)
        elif path not in self._read:
            self._read[path] = digest_file(self._folder / path)

    def _relative(self, path: str) -> str | None:
        """Return the path relative to the dags folder; None for one that is outside of it or hidden in it."""
        # By text, without looking at the disk: this runs whenever a file is opened.
        absolute = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links out of the folder
        for root in self._roots:
            if absolute == root or absolute.startswith(f"{root}{os.sep}"):
                below = absolute[len(root) + 1 :]
                foreign = any(is_hidden(part) or part == "site-packages" for part in below.split("/"))
                return None if foreign else below or "."
        return None


def _is_import_system() -> bool:
    """Return whether the import system itself is at work, two calls below the audit hook."""
    frame = inspect.currentframe()
    for _ in range(3):
        frame = frame.f_back if frame else None
    return frame is not None and frame.f_code.co_filename.startswith("<frozen importlib")
