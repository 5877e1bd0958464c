"""The stem: a single-threaded process that has orch and its operators loaded and forks a child for each import.

Started as `python -m orch.dagfiles.stem FD PARENT`: a stream socket to the importer, and the importer's process id.
"""

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import orch
from orch.dagfiles.capped import CappedOutput
from orch.dagfiles.child import run_child
from orch.dagfiles.requests import ImportEnded, ImportRequest, Lines, StemConfig, to_line
from orch.processes import become_subreaper, die_with_parent, kill_strangers

MAX_OUTPUT = 16_000
_PIECE = 65_536
_PIPE_PIECES = 16
PATIENCE_SECONDS = 0.5
"""How long a child whose time is over may take to end itself, and again to write its stack, before it is killed."""


@dataclass
class _Child:
    request: ImportRequest
    pid: int
    output_fd: int
    deadline: float
    output: CappedOutput = field(default_factory=lambda: CappedOutput(MAX_OUTPUT))
    is_late: bool = False

    def drain(self) -> bool:
        """Read what it has printed, at most what a pipe holds; return whether more may come."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(_PIPE_PIECES):  # no more, or one that prints for ever would keep the stem here
                piece = os.read(self.output_fd, _PIECE)
                if not piece:
                    return False
                self.output.add(piece)
        return True

    def signal(self, number: int) -> None:
        """Send a signal to its process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class Stem:
    """Serves one importer; what it learns in one import never reaches the next."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._lines = Lines()
        self._config: StemConfig | None = None
        self._descriptors: deque[int] = deque()
        self._children: dict[int, _Child] = {}
        self._bell, self._ringer = socket.socketpair()
        for end in (self._bell, self._ringer):
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ, self._read_control)
        self._selector.register(self._bell, selectors.EVENT_READ, lambda: self._bell.recv(4096))
        self._is_open = True

    def serve(self) -> None:
        """Work until the importer is gone; leave no child behind."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the importer to hear
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._ringer.fileno(), warn_on_full_buffer=False)
        while self._is_open:
            for key, _ in self._selector.select(self._time_left()):
                key.data()
            self._hurry_the_late()
            self._reap()
        for child in self._children.values():
            child.signal(signal.SIGKILL)
        while kill_strangers(()):
            time.sleep(0.001)  # the children of the dying become ours next

    def _time_left(self) -> float | None:
        if not self._children:
            return None
        return max(min(child.deadline for child in self._children.values()) - time.monotonic(), 0)

    def _read_control(self) -> None:
        try:
            piece, descriptors, _, _ = socket.recv_fds(self._control, 65_536, 16)
        except ConnectionError:
            piece, descriptors = b"", []
        for fd in descriptors:
            os.set_inheritable(fd, False)
            self._descriptors.append(fd)
        self._is_open = bool(piece)
        for message in self._lines.feed(piece):
            self._obey(message)

    def _obey(self, message: dict[str, Any]) -> None:
        if self._config is None:
            self._config = StemConfig(**message)
            _preload(self._config.preload)
        else:
            self._fork(self._config, ImportRequest(**message), self._descriptors.popleft())

    def _fork(self, config: StemConfig, request: ImportRequest, result_fd: int) -> None:
        output_fd, write_fd = os.pipe()
        me = os.getpid()
        pid = os.fork()
        if pid == 0:
            die_with_parent(me)
            self._control.close()
            run_child(config, request.path, result_fd, write_fd)
        with contextlib.suppress(OSError):  # the child does it too: whoever comes first
            os.setpgid(pid, pid)
        os.close(result_fd)
        os.close(write_fd)
        os.set_blocking(output_fd, False)
        child = _Child(request, pid, output_fd, time.monotonic() + config.timeout_seconds + PATIENCE_SECONDS)
        self._children[pid] = child
        self._selector.register(output_fd, selectors.EVENT_READ, lambda: self._listen(child))

    def _listen(self, child: _Child) -> None:
        if not child.drain():
            self._selector.unregister(child.output_fd)

    def _hurry_the_late(self) -> None:
        """End children that swallow their alarm: first so that they write their stack, then without mercy."""
        for child in self._children.values():
            if child.deadline <= time.monotonic():
                child.signal(signal.SIGKILL if child.is_late else signal.SIGABRT)
                child.is_late = True
                child.deadline = time.monotonic() + PATIENCE_SECONDS

    def _reap(self) -> None:
        for child in list(self._children.values()):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                self._end(child, os.waitstatus_to_exitcode(status))

    def _end(self, child: _Child, code: int) -> None:
        del self._children[child.pid]
        child.signal(signal.SIGKILL)  # what the file has started must not outlive its import
        kill_strangers(self._children)  # not even when it has left the process group
        child.drain()
        with contextlib.suppress(KeyError):
            self._selector.unregister(child.output_fd)
        os.close(child.output_fd)
        ended = ImportEnded(child.request.id, code, child.is_late, child.output.text())
        self._control.sendall(to_line(ended))


def _preload(modules: tuple[str, ...]) -> None:
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:  # a provider's own problem; the file that imports it will show it
            sys.stderr.write(f"orch: {name} cannot be loaded: {type(error).__name__}: {error}\n")
    for name in orch.__all__:  # the face loads its parts when they are first used
        getattr(orch, name)
    gc.collect()
    gc.freeze()  # keeps the collector of the children from touching, and thereby copying, these pages


def main() -> None:
    """Serve the importer that the arguments name until it goes."""
    control_fd, parent = map(int, sys.argv[1:])
    die_with_parent(parent)
    become_subreaper()
    control = socket.socket(fileno=control_fd)
    os.set_inheritable(control.fileno(), False)
    with contextlib.suppress(ConnectionError):  # the importer has gone while it was told something
        Stem(control).serve()


if __name__ == "__main__":
    main()
