"""The sources of a DAG file: itself, the local modules it imports, the files and folders it reads while imported.

Each has a *stat key* (cheap, changes when the file may have changed) and a *digest* (of its content).
"""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from orch.domain.sources import LARGEST_PYTHON, MISSING, digest_text, hash_of_values

SETTLED_NS = 2_000_000_000
"""A file that changed less than two seconds ago may change again without a new time stamp."""

LARGEST_SOURCE = LARGEST_PYTHON


@dataclass(frozen=True, slots=True)
class FileStat:
    """What one look at a file tells without reading it."""

    key: str
    """Equal keys of a settled file mean equal content."""
    size: int = 0
    changed_ns: int = 0
    """When content or inode changed last; unlike the modification time, nobody can set it back."""

    @classmethod
    def of(cls, found: os.stat_result) -> "FileStat":
        """Return the key of a stat result."""
        key = f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_ino}"
        return cls(key, found.st_size, found.st_ctime_ns)

    @classmethod
    def look(cls, path: Path) -> "FileStat":
        """Return the key of a path; a missing one has a key too."""
        try:
            return cls.of(path.stat())
        except OSError:
            return cls(MISSING)


def combined_key(stats: Mapping[str, FileStat]) -> str:
    """Return one short key of all sources of a DAG file."""
    return hash_of_values({path: found.key for path, found in stats.items()})[:32]


def are_settled(stats: Iterable[FileStat], now_ns: int) -> bool:
    """Return whether these files changed so long before `now_ns` that their keys can be trusted."""
    return all(found.changed_ns < now_ns - SETTLED_NS for found in stats)


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's content; of a folder's listing when it is a folder."""
    try:
        if path.is_dir():
            return digest_text("\n".join(listing(path)))
        with _open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return MISSING


def listing(folder: Path) -> list[str]:
    """Return the names in a folder that an author put there: no hidden ones and no caches."""
    return sorted(entry.name for entry in folder.iterdir() if not is_hidden(entry.name))


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is none of the author's business."""
    return name.startswith(".") or name == "__pycache__"


def may_declare_dags(path: Path) -> bool:
    """Return whether the file's text has `orch`, `airflow` or `dag` in it, in capitals or not; others are left out.

    A file of another orchestrator is imported too, so that its author learns what to change.
    """
    with _open_regular(path) as file:
        text = file.read().lower()
    return any(word in text for word in (b"orch", b"airflow", b"dag"))


def names_dag(path: Path, dag_id: str) -> bool:
    """Return whether the id is a word of the file's text, as in nearly every file that declares the DAG."""
    word = re.compile(rb"(?<![A-Za-z0-9_])%b(?![A-Za-z0-9_])" % re.escape(dag_id.encode()))
    try:
        with _open_regular(path) as file:
            return word.search(file.read(LARGEST_SOURCE)) is not None
    except OSError:
        return False


def _open_regular(path: Path) -> BufferedReader:
    # Not blocking: to open a named pipe would wait for its writer for ever.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(fd, "rb")
