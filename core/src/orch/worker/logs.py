"""The log of one attempt: a file of JSON lines, written by the worker from the pipes of the task process."""

import codecs
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any

from orch.clock import Clock, isoformat, system_clock
from orch.ids import check_id, check_run_id

log = logging.getLogger("orch.worker")

PIECE_CHARS = 64 * 1024
"""A line longer than this is cut into pieces of this length."""
LONG_NAME = 190
"""Most systems take file names of 255 bytes."""
_ROOM_FOR_MARKS = 1024
_TAIL_BYTES = 4 * 1024


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log, without its line end."""

    at: datetime | None
    """When the worker read it; None when the file is damaged here."""
    stream: str
    """`stdout`, `stderr`, or `orch` for what orch itself has to say."""
    text: str


def attempt_log_path(
    dag_id: str, run_id: str, task_id: str, map_index: int, try_number: int, epoch: int
) -> PurePath:
    """Return where the log of an attempt is, relative to the logs folder; each attempt has its own file.

    A mapped task adds `+<map_index>`, which no task id can contain. The file is in the folder of its run, since a
    folder of its own costs more than the file; only a name that would be too long is cut in two.
    """
    check_id("dag", dag_id)
    check_run_id(run_id, manual=False)
    check_id("task", task_id)
    task = task_id if map_index < 0 else f"{task_id}+{map_index}"
    attempt = f"try-{try_number}.epoch-{epoch}.jsonl"
    if len(task) > LONG_NAME:
        return PurePath(dag_id, run_id, task, attempt)
    return PurePath(dag_id, run_id, f"{task}.{attempt}")


def read_log(path: Path) -> Iterator[LogLine]:
    """Yield the lines that are complete so far; a damaged one comes as the text it is."""
    with path.open("rb") as file:
        for raw in file:
            if not raw.endswith(b"\n"):
                return
            entry = _parse(raw)
            if entry is None:
                yield LogLine(None, "orch", raw.decode("utf-8", "backslashreplace").rstrip("\n"))
            elif "end" not in entry:
                yield LogLine(_moment(entry.get("at")), str(entry.get("stream")), str(entry.get("text")))


def read_end(path: Path) -> str | None:
    """Return the outcome that the end mark names, or None while nothing has ended the log."""
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
        last = file.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
    entry = _parse(last)
    return str(entry.get("outcome")) if entry and entry.get("end") else None


class AttemptLog:
    """Writer of one log. It never raises: a log that cannot be written must not change how the attempt ends."""

    def __init__(self, folder: Path, name: PurePath, max_bytes: int, clock: Clock = system_clock) -> None:
        self.name = name
        self._clock = clock
        self._room = max_bytes
        self._size = 0
        self._truncated = False
        self._broken = False
        self._partial: dict[str, str] = {}
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._fd = self._open(folder)

    def feed(self, stream: str, data: bytes) -> None:
        """Add bytes of a pipe; a line is written when it ends or has 65,536 characters."""
        if self._truncated or self._fd is None:
            return
        decoder = self._decoders.get(stream)
        if decoder is None:
            decoder = self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        *lines, rest = (self._partial.get(stream, "") + decoder.decode(data)).split("\n")
        whole = [piece for line in lines for piece in _pieces(line) or [""]]
        whole += _pieces(rest)
        self._partial[stream] = whole.pop() if rest and len(whole[-1]) < PIECE_CHARS else ""
        self._write_lines(stream, whole)

    def note(self, text: str) -> None:
        """Add lines of orch's own; they are written even when the log is full, unless the disk is."""
        printable = text[: 4 * PIECE_CHARS].encode("utf-8", "backslashreplace").decode()
        at = isoformat(self._clock())
        self._append(b"".join(_line(at, "orch", line) for line in printable.rstrip("\n").split("\n")))

    def close(self, outcome: str) -> None:
        """Write what is left of the last lines and the end mark. The second time nothing happens."""
        if self._fd is None:
            return
        for stream, decoder in self._decoders.items():
            rest = self._partial.pop(stream, "") + decoder.decode(b"", final=True)
            if rest and not self._truncated:
                self._write_lines(stream, [rest])
        self._append(_encode({"at": isoformat(self._clock()), "end": True, "outcome": outcome}))
        os.close(self._fd)
        self._fd = None

    def _write_lines(self, stream: str, lines: list[str]) -> None:
        at = isoformat(self._clock())
        fitting: list[bytes] = []
        for line in lines:
            raw = _line(at, stream, line)
            self._room -= len(raw)
            if self._room < 0:
                break
            fitting.append(raw)
        self._append(b"".join(fitting))
        if self._room < 0 and not self._truncated:
            self._truncate("the rest is cut off here (worker.log_max_bytes)")

    def _truncate(self, why: str) -> None:
        self._truncated = True
        self._partial.clear()
        self._append(_line(isoformat(self._clock()), "orch", why))

    def _append(self, data: bytes) -> None:
        if self._fd is None or not data:
            return
        try:
            _write_all(self._fd, data)
            self._size += len(data)
        except OSError as error:
            self._write_failed(self._fd, error)

    def _write_failed(self, fd: int, error: OSError) -> None:
        """Cut back to whole lines, the first time with some room, so that the marks still fit on a full disk."""
        try:
            if not self._broken:
                self._size = _whole_lines(fd, self._size - _ROOM_FOR_MARKS)
            os.ftruncate(fd, self._size)
        except OSError:
            self._truncated = True
        if not self._broken:
            self._broken = True
            log.warning("log %s: %s; its task goes on, the log is cut off", self.name, error.strerror)
            self._truncate(f"the rest is lost: {error.strerror}")

    def _open(self, folder: Path) -> int | None:
        path = os.path.join(folder, self.name)  # noqa: PTH118  # a fraction of Path's cost, for every attempt
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        try:
            try:
                return os.open(path, flags, 0o600)
            except FileNotFoundError:
                _make_folders(Path(path).parent)
                return os.open(path, flags, 0o600)
        except OSError as error:
            log.warning("log %s: %s; its task runs without a log", self.name, error.strerror)
            return None


def _make_folders(folder: Path) -> None:
    """Like mkdir(parents=True), but all of them for the owner only."""
    missing = [folder]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)


def _pieces(text: str) -> list[str]:
    return [text[start : start + PIECE_CHARS] for start in range(0, len(text), PIECE_CHARS)]


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _whole_lines(fd: int, size: int) -> int:
    """Return the largest size up to `size` at which a line ends."""
    start = max(0, size - 8 * PIECE_CHARS)  # a line's JSON takes at most six characters for one
    return start + os.pread(fd, max(0, size - start), start).rfind(b"\n") + 1


def _line(at: str | None, stream: str, text: str) -> bytes:
    return _encode({"at": at, "stream": stream, "text": text})


def _encode(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _parse(raw: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(raw)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
