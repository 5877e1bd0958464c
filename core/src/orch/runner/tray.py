"""The tray: where a worker lays the attempts of one task process, and may take back what has not begun.

Each start is one message. Whoever receives it owns it: the task process, right before it begins, or the worker, which
keeps a descriptor of the reading end. The kernel gives each message to exactly one of them, so that both know what
has begun without asking each other. Closing the writing end tells the task process to end.
"""

import array
import os
import select
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from orch.runner.host_wire import Frame, WireClosed, WireError, decode_frame, receive_with_fds

INLINE_BYTES = 16 * 1024
"""A command longer than this travels as a file in memory: a message has to fit the buffer of the socket."""
MAX_MESSAGE = 64 * 1024
STDOUT, STDERR, COMMAND = 0, 1, 2
"""What the descriptors of a start are, in their order."""


@dataclass(frozen=True, slots=True)
class Start:
    """The order to run one attempt."""

    nonce: str
    """Names the attempt in every frame about it."""
    command: str
    """JSON of a task command."""
    keep: bool = False
    """True when the process may wait for another start afterwards, if it is still clean."""
    growth_bytes: int = 0
    """How much memory it may have gained since its first task, to be kept."""


class TrayWriter:
    """The worker's side. Nothing here blocks."""

    def __init__(self) -> None:
        self._socket, self._reader = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.shutdown(socket.SHUT_RD)  # user code may write to its end, which nobody reads

    def for_child(self) -> int:
        """Return another descriptor of the reading end, which belongs to the caller."""
        return os.dup(self._reader.fileno())

    def put(self, start: Start, stdout: int, stderr: int) -> bool:
        """Lay down a start; return False when the tray is full. The descriptors stay the caller's."""
        head: dict[str, Any] = {"op": "start", "nonce": start.nonce, "keep": start.keep}
        head["growth"] = start.growth_bytes
        if len(start.command) <= INLINE_BYTES and start.command.isascii():
            return self._send(Frame(head, start.command, (stdout, stderr)))
        file = _memory_file(start.command)
        try:
            return self._send(Frame(head, "", (stdout, stderr, file)))
        finally:
            os.close(file)

    def take_back(self) -> set[str]:
        """Take everything that has not begun off the tray; return the nonces."""
        nonces = set()
        with suppress(BlockingIOError):
            while (found := _receive(self._reader, socket.MSG_DONTWAIT)) is not None:
                head, _, fds = found
                _close_all(fds)
                nonces.add(str(head["nonce"]))
        return nonces

    def close(self) -> None:
        """Take no more: a task process that waits for a start ends."""
        self._socket.close()
        self._reader.close()

    def _send(self, frame: Frame) -> bool:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", frame.fds))]
        try:
            self._socket.sendmsg([frame.encode()], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return False
        return True


class TrayReader:
    """The task process's side."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    @property
    def is_readable(self) -> bool:
        """True when a start is there, or the worker wants no more."""
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        return bool(waiting.poll(0))

    def take(self) -> tuple[Start, int, int]:
        """Wait for a start; return it with the descriptors of stdout and stderr. WireClosed when none will come."""
        found = _receive(self._socket, 0)
        if found is None:
            raise WireClosed("no more starts")
        head, command, fds = found
        if len(fds) > COMMAND:
            command = _content(fds[COMMAND])
        start = Start(str(head["nonce"]), command, bool(head["keep"]), int(head["growth"]))
        return start, fds[STDOUT], fds[STDERR]

    def close(self) -> None:
        """Close the descriptor."""
        self._socket.close()


def _receive(sock: socket.socket, flags: int) -> tuple[Mapping[str, Any], str, tuple[int, ...]] | None:
    try:
        data, fds = receive_with_fds(sock, flags, MAX_MESSAGE)
    except BlockingIOError:
        raise
    except OSError as error:
        raise WireClosed(str(error)) from None
    if not data:
        return None
    try:
        frame = decode_frame(data, fds)
    except WireError:
        _close_all(fds)
        raise
    return frame.head, frame.text, frame.fds


def _memory_file(text: str) -> int:
    fd = os.memfd_create("orch-command", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:  # a descriptor has no path
            file.write(text.encode("utf-8", "surrogatepass"))
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _content(fd: int) -> str:
    with open(fd, "rb") as file:  # a descriptor has no path
        return file.read().decode("utf-8", "surrogatepass")


def _close_all(fds: "tuple[int, ...] | list[int]") -> None:
    for fd in fds:
        os.close(fd)
