"""Wake-up hints: a datagram of one byte that makes another process look at the database now.

A hint may be lost, doubled or late; everybody polls as well. The byte says where to look first, never what is true.
"""

import os
import socket
from contextlib import suppress
from pathlib import Path

LOOK = b"!"
"""There may be something new."""
REVOKED = b"x"
"""What you run may have been taken from you: ask before your next heartbeat is due."""

_LONGEST_PATH = 100
"""A socket address holds 108 bytes on Linux and 104 elsewhere."""


class HintSocket:
    """Where one process is woken; its file goes away with `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_NONBLOCK", 0))
        self._socket.setblocking(False)
        os.set_inheritable(self._socket.fileno(), False)
        with suppress(FileNotFoundError):
            path.unlink()
        with _Reachable(path) as short:
            self._socket.bind(short)

    @classmethod
    def bind(cls, run_dir: Path, incarnation: str) -> "HintSocket":
        """Create the socket of an incarnation in the run folder of the home."""
        return cls(run_dir / f"{incarnation}.sock")

    @property
    def address(self) -> str:
        """What others pass to `send_hint`."""
        return str(self.path)

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    def drain(self) -> bool:
        """Take all hints that have come; return whether there was one."""
        return bool(self.take())

    def take(self) -> set[bytes]:
        """Take all hints that have come; return the kinds of them."""
        kinds: set[bytes] = set()
        with suppress(BlockingIOError):
            while True:
                kinds.add(self._socket.recv(16))
        return kinds

    def close(self) -> None:
        """Close the socket and remove its file."""
        self._socket.close()
        with suppress(OSError):
            self.path.unlink()


def send_hint(address: str, kind: bytes = LOOK) -> bool:
    """Wake the process at `address`; return False when nobody is there. Never blocks and never raises."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.setblocking(False)
        try:
            with _Reachable(Path(address)) as short:
                out.sendto(kind, short)
        except BlockingIOError:
            return True  # its queue is full of hints already
        except OSError:
            return False
    return True


class _Reachable:
    """A name of `path` that fits into a socket address, through a descriptor of its folder when it is long."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder: int | None = None

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) <= _LONGEST_PATH:
            return str(self._path)
        self._folder = os.open(self._path.parent, os.O_RDONLY)
        return f"/proc/self/fd/{self._folder}/{self._path.name}"

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            os.close(self._folder)
