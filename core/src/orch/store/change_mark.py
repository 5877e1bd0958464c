"""Change mark: a cheap question whether the database may hold something new, for loops that only look."""

import time
from pathlib import Path

from orch.store.reader import sqlite_path

FRESH_SECONDS = 0.05
"""A file changed so recently may change again without its time moving on: the clock of a file system is coarse."""


class ChangeMark:
    """Remembers the sizes and times of the database files. A server has none, so there each look is worth it."""

    def __init__(self, url: str) -> None:
        path = sqlite_path(url)
        self._files = () if path is None else (path, Path(f"{path}-wal"))
        self._seen: tuple[object, ...] | None = None

    def moved(self) -> bool:
        """Return whether the database may have changed since this was last asked; True the first time."""
        if not self._files:
            return True
        stats = [_stat(file) for file in self._files]
        mark = tuple(stats)
        if mark == self._seen:
            return False
        newest = max((stat[1] for stat in stats if stat), default=0)
        is_settled = time.time_ns() - newest > FRESH_SECONDS * 1e9
        self._seen = mark if is_settled else None
        return True


def _stat(file: Path) -> tuple[int, int] | None:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return stat.st_size, stat.st_mtime_ns
