"""The stem as the importer sees it: a process to start, to ask and to stop."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress

from orch.dagfiles.requests import ImportEnded, ImportRequest, Lines, StemConfig, to_line

GOODBYE_SECONDS = 2.0
"""How long a stem may take to clean up after itself."""

HIDDEN_VARIABLES = ("ORCH_DATABASE_URL",)
"""What the code of DAG files does not get to see."""

_QUIET_LIBRARIES = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""An import computes nothing, and the buffers of one thread per CPU would count against its memory."""


class StemProcess:
    """One running stem. Its end shows as the end of the stream."""

    def __init__(self, config: StemConfig) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _start(theirs.fileno())
            except OSError:
                self._control.close()
                raise
        self._lines = Lines()
        self._control.sendall(to_line(config))
        self.used_at = time.monotonic()

    @property
    def pid(self) -> int:
        """Process id of the stem."""
        return self._process.pid

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the stem has something to say, or has died."""
        return self._control.fileno()

    def ask(self, request: ImportRequest, result_fd: int) -> None:
        """Have a file imported; the result is written to the descriptor. A dead stem shows in `answers`."""
        self.used_at = time.monotonic()
        with suppress(ConnectionError):
            socket.send_fds(self._control, [to_line(request)], [result_fd])

    def answers(self) -> Iterator[ImportEnded] | None:
        """Read what has arrived; None when the stem is gone. Blocks unless the descriptor is readable."""
        try:
            piece = self._control.recv(1 << 20)
        except ConnectionError:
            return None
        if not piece:
            return None
        self.used_at = time.monotonic()
        return (ImportEnded(**message) for message in self._lines.feed(piece))

    def stop(self) -> None:
        """End the stem and, with it, every import that is going on and all that these have started."""
        self._control.close()
        try:
            self._process.wait(GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _start(control_fd: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "orch.dagfiles.stem", str(control_fd), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        pass_fds=[control_fd],
        env=_environment(os.environ),
        start_new_session=True,
    )


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    shown = {name: value for name, value in own.items() if name not in HIDDEN_VARIABLES}
    return {**_QUIET_LIBRARIES, **shown}
