"""Lock file: held with a POSIX record lock while its process lives; a free lock proves that it died."""

import errno
import fcntl
import os
import struct
import sys
from pathlib import Path
from typing import ClassVar

from orch.errors import Conflict

if sys.platform == "linux":
    _FLOCK, _FLOCK_FIELDS = "hhqqi0q", ("type", "whence", "start", "length", "pid")
else:  # the BSDs, macOS among them
    _FLOCK, _FLOCK_FIELDS = "qqihh0q", ("start", "length", "pid", "type", "whence")
"""C's `struct flock`, in the order in which the system has it."""


class LockFile:
    """A locked file that holds the process id of its owner. Children never inherit the lock (unlike flock)."""

    _held: ClassVar[set[tuple[int, int, int]]] = set()
    """(pid, device, inode) of each lock of this process. The kernel keeps these locks per process and drops them
    when the process closes *any* descriptor of the file, so `is_free` must not even open one of its own."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        self._key = _key(os.fstat(fd))
        self._held.add(self._key)

    @classmethod
    def acquire(cls, path: Path) -> "LockFile":
        """Create and lock the file (mode 0600); raise Conflict, naming the holder, when another process has it."""
        if cls._is_ours(path):
            raise Conflict(f"{path} is locked by this process ({os.getpid()}) already")
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(fd)
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    raise Conflict(f"{path} is locked by {_holder(path)}; stop that process first") from None
                raise
            if _is_at(path, fd):
                os.ftruncate(fd, 0)
                os.write(fd, f"{os.getpid()}\n".encode())
                return cls(path, fd)
            os.close(fd)  # the former holder removed the file between open and lock

    @classmethod
    def is_free(cls, path: Path) -> bool:
        """Tell whether nobody holds the lock: its owner has released it or is dead. A missing file is free.

        The lock is not taken for that, so asking never stands in the way of an `acquire`.
        """
        if cls._is_ours(path):
            return False
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            return not _is_locked(fd)
        finally:
            os.close(fd)

    def release(self) -> None:
        """Remove the file and free the lock; nothing happens the second time or in a forked child."""
        if self._key not in self._held or self._key[0] != os.getpid():
            return
        if _is_at(self.path, self._fd):
            self.path.unlink(missing_ok=True)
        self._held.discard(self._key)
        os.close(self._fd)

    def __enter__(self) -> "LockFile":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    @classmethod
    def _is_ours(cls, path: Path) -> bool:
        try:
            return _key(path.stat()) in cls._held
        except FileNotFoundError:
            return False


def _is_locked(fd: int) -> bool:
    """Tell whether another process has a lock anywhere in the file."""
    zeros = dict.fromkeys(_FLOCK_FIELDS, 0)
    question = struct.pack(_FLOCK, *{**zeros, "type": fcntl.F_WRLCK, "whence": os.SEEK_SET}.values())
    answer = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_GETLK, question))
    return bool(answer[_FLOCK_FIELDS.index("type")] != fcntl.F_UNLCK)


def _holder(path: Path) -> str:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        text = ""
    return f"process {text}" if text.isdigit() else "another process"


def _key(stat: os.stat_result) -> tuple[int, int, int]:
    return os.getpid(), stat.st_dev, stat.st_ino


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False
