"""The log of one attempt: a file of JSON lines, written by the worker from the pipes of the task process."""

import codecs
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any

from orch.clock import Clock, isoformat, system_clock
from orch.ids import check_id, check_run_id

PIECE_BYTES = 64 * 1024
"""A line longer than this is cut into pieces of this length."""
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

    A mapped task adds `+<map_index>`, which no task id can contain.
    """
    check_id("dag", dag_id)
    check_run_id(run_id, manual=False)
    check_id("task", task_id)
    folder = task_id if map_index < 0 else f"{task_id}+{map_index}"
    return PurePath(dag_id, run_id, folder, f"try-{try_number}.epoch-{epoch}.jsonl")


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
        """Add bytes of a pipe; a line is written when it ends or has 64 KiB."""
        if self._truncated or self._fd is None:
            return
        decoder = self._decoders.get(stream)
        if decoder is None:
            decoder = self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        *lines, rest = (self._partial.get(stream, "") + decoder.decode(data)).split("\n")
        while len(rest) >= PIECE_BYTES:
            lines.append(rest[:PIECE_BYTES])
            rest = rest[PIECE_BYTES:]
        self._partial[stream] = rest
        self._write_lines(stream, lines)

    def note(self, text: str) -> None:
        """Add lines of orch's own; they are written even when the log is full, unless the disk is."""
        lines = text[: 4 * PIECE_BYTES].rstrip("\n").split("\n")
        self._append(b"".join(self._line("orch", line) for line in lines))

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
        fitting: list[bytes] = []
        for line in lines:
            raw = self._line(stream, line)
            if len(raw) > self._room:
                self._append(b"".join(fitting))
                self._truncate("the rest is cut off here (worker.log_max_bytes)")
                return
            self._room -= len(raw)
            fitting.append(raw)
        self._append(b"".join(fitting))

    def _truncate(self, why: str) -> None:
        self._truncated = True
        self._partial.clear()
        entry = {"at": isoformat(self._clock()), "stream": "orch", "text": why, "truncated": True}
        self._append(_encode(entry))

    def _line(self, stream: str, text: str) -> bytes:
        return _encode({"at": isoformat(self._clock()), "stream": stream, "text": text})

    def _append(self, data: bytes) -> None:
        if self._fd is None or not data:
            return
        try:
            self._write_all(data)
        except OSError as error:
            self._write_failed(error)

    def _write_all(self, data: bytes) -> None:
        assert self._fd is not None  # noqa: S101  # for the type checker: `_append` has looked
        view = memoryview(data)
        while view:
            written = os.write(self._fd, view)
            view = view[written:]
        self._size += len(data)

    def _write_failed(self, error: OSError) -> None:
        """Cut back to whole lines with some room, so that the marks still fit on a full disk."""
        if self._broken:
            return
        self._broken = True
        sys.stderr.write(f"log {self.name}: {error.strerror}; its task goes on, the log is cut off\n")
        try:
            self._cut_back()
        except OSError:
            return
        self._truncate(f"the rest is lost: {error.strerror}")

    def _cut_back(self) -> None:
        assert self._fd is not None  # noqa: S101  # for the type checker: only called by `_append`
        keep = max(0, self._size - _ROOM_FOR_MARKS)
        start = max(0, keep - 2 * PIECE_BYTES)
        whole = os.pread(self._fd, keep - start, start).rfind(b"\n") + 1
        self._size = start + whole
        os.ftruncate(self._fd, self._size)

    def _open(self, folder: Path) -> int | None:
        path = folder / self.name
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        try:
            try:
                return os.open(path, flags, 0o600)
            except FileNotFoundError:
                _make_folders(path.parent)
                return os.open(path, flags, 0o600)
        except OSError as error:
            sys.stderr.write(f"log {self.name}: {error.strerror}; its task runs without a log\n")
            return None


def _make_folders(folder: Path) -> None:
    """Like mkdir(parents=True), but all of them for the owner only."""
    missing = [folder]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)


def _encode(entry: dict[str, Any]) -> bytes:
    text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"


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
