"""A task process as its worker sees it: a channel, two pipes, and an end."""

import json
import os
import socket
from functools import partial
from typing import Any, Protocol

from orch.runner.host_wire import Frame, Wire, WireClosed, WireError
from orch.worker.reactor import Reactor

READ_BYTES = 64 * 1024
"""Read from a pipe per event, so that one flood of output cannot starve the others."""
LAST_BYTES = 1024 * 1024
"""Read from a pipe at the end of an attempt; a task's leftover that goes on writing must not hold it up."""


class Listener(Protocol):
    """Who is told what a task process does: the attempt that it runs."""

    def on_no_process(self, why: str) -> None:
        """The process could not be made: the system has no room now. The attempt has not begun."""

    def on_output(self, stream: str, data: bytes) -> None:
        """Bytes of `stdout` or `stderr` have come."""

    def on_question(self, question: dict[str, Any]) -> None:
        """It asks for something and waits; `TaskProcess.answer` answers."""

    def on_outcome(self, text: str) -> None:
        """It has handed over its outcome, as JSON."""

    def on_nonsense(self, error: str) -> None:
        """It has sent what no task process of orch sends."""

    def on_end(self, words: str) -> None:
        """It has ended; nothing more comes from it."""

    def on_lost(self, words: str) -> None:
        """It has ended because its host did; nothing more comes from it."""


class TaskProcess:
    """One process, spare until `start` gives it an attempt."""

    def __init__(self, key: int, reactor: Reactor) -> None:
        self.key = key
        """Names it between worker and host."""
        self.pid: int | None = None
        """None until the host has made it."""
        self.listener: Listener | None = None
        self.was_signalled = False
        """True once the host has passed on a signal."""
        self._reactor = reactor
        self._pipes: dict[str, int] = {}
        ours, theirs = socket.socketpair()
        self._channel: Wire | None = Wire(ours)
        self.channel_for_child = theirs.detach()
        """The other end; belongs to the frame that asks the host for the process."""
        reactor.watch(self._channel, self._readable, self._flush)

    @property
    def is_spare(self) -> bool:
        """True while it can be given an attempt."""
        return self.listener is None and self._channel is not None

    def start(self, command: str, listener: Listener) -> bool:
        """Give it an attempt: the JSON of a task command. OSError when descriptors have run out.

        Returns False when the process was dead already, so that another one may be asked.
        """
        writers = []
        try:
            for stream in ("stdout", "stderr"):
                reader, writer = os.pipe2(os.O_CLOEXEC)
                writers.append(writer)
                os.set_blocking(reader, False)
                self._pipes[stream] = reader
                self._reactor.watch(reader, partial(self._output, stream))
        except OSError:
            for writer in writers:
                os.close(writer)
            self.close_pipes()
            raise
        self._send(Frame({"op": "start"}, command, tuple(writers)))
        if self._channel is None:
            self.close_pipes()
            return False
        self.listener = listener
        return True

    def answer(self, question: dict[str, Any], value: str | None) -> None:
        """Answer a question of its."""
        self._send(Frame({"op": "answer", "id": question.get("id"), "found": value is not None}, value or ""))

    def drain(self) -> None:
        """Pass on what is in the pipes now, at most 1 MiB of each."""
        for stream in list(self._pipes):
            left = LAST_BYTES
            while left > 0 and (count := self._output(stream)):
                left -= count

    def close_pipes(self) -> None:
        """Take no more output."""
        for stream in list(self._pipes):
            self._close_pipe(stream)

    def ended(self, words: str, *, with_host: bool = False) -> None:
        """Hear what it has said last, then tell its end; for the host's side of this class."""
        while self._channel is not None and self._readable():
            continue
        self.dismiss()
        if self.listener is not None:
            tell = self.listener.on_lost if with_host else self.listener.on_end
            tell(words)
            self.listener = None
        self.close_pipes()

    def dismiss(self) -> None:
        """Close the channel: a spare process then ends."""
        if self._channel is not None:
            self._reactor.forget(self._channel)
            self._channel.close()
            self._channel = None

    def _output(self, stream: str) -> int:
        try:
            data = os.read(self._pipes[stream], READ_BYTES)
        except BlockingIOError:
            return 0
        if not data:
            self._close_pipe(stream)
        elif self.listener is not None:
            self.listener.on_output(stream, data)
        return len(data)

    def _close_pipe(self, stream: str) -> None:
        fd = self._pipes.pop(stream)
        self._reactor.forget(fd)
        os.close(fd)

    def _readable(self) -> bool:
        """Handle what has come; return whether there was anything, and more may follow."""
        if self._channel is None:
            return False
        try:
            frames = self._channel.receive()
        except WireClosed:
            self.dismiss()  # its end, or user code has closed the descriptor; the host tells which
            return False
        except WireError as error:
            self._nonsense(str(error))
            return False
        for frame in frames or ():
            self._hear(frame)
        return frames is not None

    def _hear(self, frame: Frame) -> None:
        for fd in frame.fds:
            os.close(fd)  # no frame of a task process carries any
        if self.listener is None:
            return
        if frame.op == "outcome":
            self.listener.on_outcome(frame.text)
        elif frame.op == "xcom_get":
            self.listener.on_question(dict(frame.head))
        else:
            self._nonsense(f"unknown frame {json.dumps(frame.op)}")

    def _nonsense(self, error: str) -> None:
        self.dismiss()
        if self.listener is not None:
            self.listener.on_nonsense(error)

    def _send(self, frame: Frame) -> None:
        if self._channel is not None:
            self._channel.queue(frame)
            self._flush()

    def _flush(self) -> None:
        if self._channel is None:
            return
        try:
            self._channel.flush()
        except WireClosed:
            self.dismiss()  # the host will tell its end
        else:
            self._reactor.want_write(self._channel, self._channel.has_unsent)
