"""The wire between supervisor, host and task processes: frames of JSON and text over a stream socket.

A frame is two lengths (4 bytes each, big endian), a JSON object and a text; open descriptors may travel with it.

| from → to | op | rest of the frame |
|---|---|---|
| host → supervisor | `ready` | `threads`: Python threads that the import has left running |
| | `import_failed` | text: the traceback; the host then ends |
| supervisor → host | `spawn` | `key`; 2 descriptors: the task process's ends of its channel and its tray |
| | `kill` | `key`, `signal`: for the whole process group |
| host → supervisor | `spawned` | `key`, `pid` |
| | `not_spawned` | `key`, `error`: the system has no room for a process now |
| | `signalled` | `key`: the answer to `kill` |
| | `exited` | `key`, `status`: exit code, or minus the signal |
| supervisor → tray | `start` | `nonce`, `keep`, `growth`; 2 descriptors: stdout, stderr; text: a task command |
| | | a long command comes in a third descriptor instead |
| task process → supervisor | `xcom_get` | `nonce`, `id`, `task_id`, `key`, `map_index` |
| supervisor → task process | `answer` | `id` of the question, `found`; text: the value, when there is one |
| task process → supervisor | `outcome` | `nonce`; `ends`: why it takes no other start, or null; text: an outcome |

A task process may be spawned long before it gets its `start`, and takes one after the other while `keep` says so and
it stays clean (`orch.runner.tray`). It says the outcome of one before it takes the next, and every frame carries the
nonce of the attempt it is about. The end of the stream means: your peer is gone, end too.
"""

import array
import json
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""A peer that announces a larger frame is broken."""
MAX_TEXT_BYTES = MAX_FRAME_BYTES - 64 * 1024
"""A text of this size fits a frame, whatever the head of the frame says."""

MAX_FDS = 4
_encode = json.JSONEncoder(separators=(",", ":")).encode
_LENGTHS = struct.Struct("!II")
_CHUNK = 64 * 1024
_FD_SPACE = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)


class WireError(Exception):
    """The peer has sent what is not a frame."""


class WireClosed(Exception):
    """The peer has closed its end, or died."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    head: Mapping[str, Any]
    """JSON object; `op` says what it is about."""
    text: str = ""
    fds: tuple[int, ...] = ()
    """Open descriptors; who receives them owns them."""

    @property
    def op(self) -> str:
        """What the frame is about; empty when it does not say."""
        return str(self.head.get("op", ""))

    def encode(self) -> bytes:
        """Return the bytes that travel."""
        head = _encode({**self.head, "fds": len(self.fds)}).encode()
        text = self.text.encode("utf-8", "surrogatepass")
        return _LENGTHS.pack(len(head), len(text)) + head + text


class Wire:
    """One end. `receive` and `flush` never block, `send` and `receive_one` do."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._received = bytearray()
        self._received_fds: deque[int] = deque()
        self._unsent: deque[tuple[memoryview, tuple[int, ...]]] = deque()

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    @property
    def has_unsent(self) -> bool:
        """True while `flush` has more to do when the socket becomes writable."""
        return bool(self._unsent)

    @property
    def is_readable(self) -> bool:
        """True when something has come, or the peer is gone."""
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        return bool(waiting.poll(0))

    def send(self, frame: Frame) -> None:
        """Send all of it, waiting when the peer is slow; WireClosed when there is no peer any more."""
        self.queue(frame)
        while self._unsent:
            waiting = select.poll()
            waiting.register(self._socket, select.POLLOUT)
            waiting.poll()
            self.flush()

    def queue(self, frame: Frame) -> None:
        """Add the frame to what `flush` sends; its descriptors belong to the wire, which closes them once sent."""
        self._unsent.append((memoryview(frame.encode()), frame.fds))

    def flush(self) -> None:
        """Send what the socket takes now; WireClosed when there is no peer any more."""
        while self._unsent:
            data, fds = self._unsent[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            try:
                sent = self._socket.sendmsg([data[:_CHUNK]], rights, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                raise WireClosed(str(error)) from None
            _close_all(fds)
            if sent == len(data):
                self._unsent.popleft()
            else:
                self._unsent[0] = (data[sent:], ())

    def receive(self) -> list[Frame] | None:
        """Return the frames that are whole now, or None when nothing has come.

        Raises WireClosed at the end and WireError on nonsense. Reads at most 64 KiB, so that one talkative peer
        cannot starve the others.
        """
        try:
            self._read(socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        return list(self._whole_frames())

    def receive_one(self) -> Frame:
        """Wait for a frame; only for a wire on which one frame at a time is expected."""
        while True:
            for frame in self._whole_frames():
                return frame
            self._read(0)

    def close(self) -> None:
        """Close the socket and all descriptors that wait in it."""
        self._socket.close()
        _close_all(self._received_fds)
        for _, fds in self._unsent:
            _close_all(fds)
        self._received_fds.clear()
        self._unsent.clear()

    def _read(self, flags: int) -> None:
        try:
            data, fds = receive_with_fds(self._socket, flags)
        except BlockingIOError:
            raise
        except OSError as error:
            raise WireClosed(str(error)) from None
        if not data:
            raise WireClosed("end of stream")
        self._received += data
        self._received_fds.extend(fds)
        if len(self._received_fds) > MAX_FDS:
            raise WireError("more descriptors than any frame carries")

    def _whole_frames(self) -> Iterable[Frame]:
        while len(self._received) >= _LENGTHS.size:
            head_length, text_length = _LENGTHS.unpack_from(self._received)
            start, end = _LENGTHS.size, _LENGTHS.size + head_length + text_length
            if end > MAX_FRAME_BYTES:
                raise WireError(f"a frame of {end} bytes; {MAX_FRAME_BYTES} are allowed")
            if len(self._received) < end:
                return
            head = bytes(self._received[start : start + head_length])
            text = bytes(self._received[start + head_length : end])
            del self._received[:end]
            yield _decode(head, text, self._received_fds)


def decode_frame(message: bytes, fds: Iterable[int]) -> Frame:
    """Return the frame that a whole message is; WireError when it is none."""
    if len(message) < _LENGTHS.size:
        raise WireError("not a frame: too short")
    head_length, text_length = _LENGTHS.unpack_from(message)
    start, middle = _LENGTHS.size, _LENGTHS.size + head_length
    if len(message) != middle + text_length:
        raise WireError("not a frame: of another length than it says")
    return _decode(message[start:middle], message[middle:], deque(fds))


def _decode(head: bytes, text: bytes, waiting_fds: deque[int]) -> Frame:
    try:
        body = json.loads(head)
        fds = tuple(waiting_fds.popleft() for _ in range(body.pop("fds", 0)))
        return Frame(body, text.decode("utf-8", "surrogatepass"), fds)
    except (ValueError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise WireError(f"not a frame: {error}") from None


def _close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def receive_with_fds(sock: socket.socket, flags: int, most: int = _CHUNK) -> tuple[bytes, list[int]]:
    """Like socket.recv_fds, but the descriptors are closed on exec, and the flags count."""
    fds = array.array("i")
    cloexec = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
    data, ancillary, _, _ = sock.recvmsg(most, _FD_SPACE, flags | cloexec)
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)
