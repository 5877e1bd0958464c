"""A task process as its worker sees it: a channel, a tray of starts, the attempt it runs, and an end."""

import json
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, Protocol

from orch.clock import monotonic
from orch.runner.host_wire import Frame, Wire, WireClosed, WireError
from orch.runner.tray import Start, TrayWriter
from orch.worker.output_pipes import OutputPipes
from orch.worker.reactor import Reactor
from orch.worker.seats import Seats

log = logging.getLogger("orch.worker")


class Listener(Protocol):
    """Who is told what a task process does: the attempt that it runs."""

    def on_no_process(self, why: str) -> None:
        """There is no process for it, or none has time. The attempt has not begun."""

    def on_begin(self, process: "TaskProcess") -> None:
        """It is its turn now."""

    def on_returned(self) -> None:
        """It has not begun, and waits for another process."""

    def on_output(self, stream: str, data: bytes) -> None:
        """Bytes of `stdout` or `stderr` have come."""

    def on_question(self, question: dict[str, Any]) -> None:
        """It asks for something and waits; `TaskProcess.answer` answers."""

    def on_outcome(self, text: str, *, ends: bool) -> bool:
        """It has handed over its outcome, as JSON, and all of its output; with `ends` the end of the process follows.

        Returns False for what is no outcome: then the attempt has not ended.
        """
        ...

    def on_nonsense(self, error: str) -> None:
        """It has sent what no task process of orch sends."""

    def on_end(self, words: str) -> None:
        """The process has ended; nothing more comes from it."""

    def on_lost(self, words: str) -> None:
        """The process has ended because its host did; nothing more comes from it."""


@dataclass(slots=True, eq=False)
class Turn:
    """One attempt on its way through a task process: on the tray, or begun."""

    nonce: str
    listener: Listener
    pipes: OutputPipes
    begun_at: float = 0.0
    """Since when it is the first; 0 while others are before it."""
    is_taken: bool = False
    """True once it is known to be off the tray."""


class TaskProcess:
    """One process. It runs its turns one after the other; only the first of them can have begun."""

    def __init__(
        self, key: int, reactor: Reactor, seats: Seats, on_returned: Callable[[list[Listener]], None]
    ) -> None:
        """`on_returned` is told whose attempts were handed to this process and have not begun in it."""
        self.key = key
        """Names it between worker and host."""
        self.pid: int | None = None
        """None until the host has made it."""
        self.was_signalled = False
        """True once the host has passed on a signal."""
        self.served = 0
        """How many starts it was given and has not given back."""
        self.is_ending = False
        """True when it must not be given another start."""
        self.idle_since = monotonic()
        self._reactor = reactor
        self._seats = seats
        self._has_seat = False
        self._on_returned = on_returned
        self._unheard: deque[Frame] = deque()
        self._turns: deque[Turn] = deque()
        self._leaving: Listener | None = None
        """Whose attempt is over and who still has to hear of the end of the process."""
        tray = TrayWriter()
        try:
            tray_of_child = tray.for_child()
            try:
                ours, theirs = socket.socketpair()
            except OSError:
                os.close(tray_of_child)
                raise
        except OSError:
            tray.close()
            raise
        self._tray: TrayWriter | None = tray
        self._channel: Wire | None = Wire(ours)
        self.fds_for_child = (theirs.detach(), tray_of_child)
        """The other ends; they belong to the frame that asks the host for the process."""
        reactor.watch(self._channel, self._readable, self._flush)

    @property
    def is_idle(self) -> bool:
        """True while it has nothing to do and can be given a start."""
        return not self._turns and not self.is_ending

    @property
    def is_busy(self) -> bool:
        """True while it has an attempt, or one of its attempts waits for its end."""
        return bool(self._turns) or self._leaving is not None

    @property
    def ahead(self) -> int:
        """How many starts wait behind the first."""
        return max(0, len(self._turns) - 1)

    @property
    def begun_at(self) -> float | None:
        """Since when the first turn is the first; None without one."""
        return self._turns[0].begun_at if self._turns else None

    def has(self, listener: Listener) -> bool:
        """Tell whether the attempt is one of its turns."""
        return any(turn.listener is listener for turn in self._turns)

    @property
    def is_unwatched(self) -> bool:
        """True while the output of its present attempt is only read when that ends."""
        return bool(self._turns) and not self._turns[0].pipes.is_watched

    def watch(self) -> None:
        """From now on pass on the output of its present attempt at once."""
        if self._turns:
            self._turns[0].pipes.watch()

    def start(self, start: Start, listener: Listener) -> bool:
        """Give it an attempt; it begins when those before it have ended. OSError when descriptors have run out.

        Returns False when its tray is full.
        """
        if self._tray is None:
            return False
        pipes = OutputPipes(self._reactor)
        try:
            is_laid = self._tray.put(start, *pipes.writers)
        except OSError:
            pipes.close()
            raise
        finally:
            pipes.close_writers()
        if not is_laid:
            pipes.close()
            return False
        pipes.listen(listener.on_output)
        self._turns.append(Turn(start.nonce, listener, pipes))
        self.served += 1
        self.is_ending = not start.keep
        if len(self._turns) == 1:
            self._sit_down()
            self._begin()
        return True

    def recall(self) -> None:
        """Take back what has not begun."""
        if self._tray is None or not self._turns:
            return
        back = self._tray.take_back()
        self._hear_all()  # the outcomes of those that were before what has begun meanwhile
        self._give_back(back)
        for turn in self._turns:
            turn.is_taken = True

    def doom(self) -> None:
        """Give it no more, and take back what has not begun: a signal from now on hits no other attempt."""
        self.is_ending = True
        self.recall()
        if not self._turns:
            self._close_tray()

    def answer(self, question: dict[str, Any], value: str | None) -> None:
        """Answer a question of its."""
        self._send(Frame({"op": "answer", "id": question.get("id"), "found": value is not None}, value or ""))

    def is_deaf(self, now: float, patience: float) -> bool:
        """Tell whether its first start lies on the tray for longer than `patience`."""
        first = self._turns[0] if self._turns else None
        return first is not None and not first.is_taken and now - first.begun_at > patience

    def abandon(self) -> None:
        """Forget whom it runs: it cannot be killed, and nothing more is expected of it."""
        self.is_ending = True
        self._leaving = None
        for turn in self._turns:
            turn.pipes.close()
        self._turns.clear()
        self._stand_up()

    def ended(self, words: str, *, with_host: bool = False) -> None:
        """Hear what it has said last, give back what has not begun, and tell its end."""
        self._hear_all()
        self.doom()
        self.dismiss()
        listeners = [turn.listener for turn in self._turns]
        if self._leaving is not None:
            listeners.append(self._leaving)
        for turn in self._turns:
            turn.pipes.drain()
        self.abandon()
        for listener in listeners:
            (listener.on_lost if with_host else listener.on_end)(words)

    def dismiss(self) -> None:
        """Close channel and tray: a process that waits for a start then ends."""
        self.is_ending = True
        self._close_channel()
        self._close_tray()

    def _begin(self) -> None:
        first = self._turns[0]
        first.begun_at = monotonic()
        first.listener.on_begin(self)

    def _sit_down(self) -> None:
        self._has_seat = True
        self._seats.taken += 1

    def _stand_up(self) -> None:
        """Leave the seat to others when there is nothing to do."""
        if self._has_seat and not self._turns:
            self._has_seat = False
            self._seats.taken -= 1
            self.idle_since = monotonic()

    def _give_back(self, nonces: Container[str]) -> None:
        returned = [turn for turn in self._turns if turn.nonce in nonces]
        if not returned:
            return
        self._turns = deque(turn for turn in self._turns if turn.nonce not in nonces)
        self.served -= len(returned)
        for turn in returned:
            turn.pipes.close()
        self._stand_up()
        self._on_returned([turn.listener for turn in returned])

    def _hear_all(self) -> None:
        while self._readable():
            continue

    def _readable(self) -> bool:
        """Handle what has come; return whether there was anything, and more may follow."""
        if self._channel is None:
            return False
        try:
            frames = self._channel.receive()
        except WireClosed:
            self.is_ending = True  # its end, or user code has closed the descriptor; the host tells which
            self._close_channel()
            return False
        except WireError as error:
            self._nonsense(str(error))
            return False
        self._unheard.extend(frames or ())
        while self._unheard:
            self._hear(self._unheard.popleft())
        return frames is not None

    def _hear(self, frame: Frame) -> None:
        for fd in frame.fds:
            os.close(fd)  # no frame of a task process carries any
        if not self._turns:
            return
        first = self._turns[0]
        if frame.head.get("nonce") != first.nonce:
            self._nonsense("a frame about another attempt")
        elif frame.op == "outcome":
            self._outcome(first, frame)
        elif frame.op == "xcom_get":
            first.listener.on_question(dict(frame.head))
        else:
            self._nonsense(f"unknown frame {json.dumps(frame.op)}")

    def _outcome(self, first: Turn, frame: Frame) -> None:
        first.pipes.drain()
        ends = frame.head.get("ends") is not None or (self.is_ending and self.ahead == 0)
        if not first.listener.on_outcome(frame.text, ends=ends):
            return
        first.pipes.close()
        self._turns.popleft()
        if ends:
            log.debug("task process %s ends: %s", self.pid, frame.head.get("ends"))
            self.is_ending = True
            self._leaving = first.listener
            if self._tray is not None:
                self._give_back(self._tray.take_back())
            self._close_tray()
        elif self._turns:
            self._begin()
        self._stand_up()

    def _nonsense(self, error: str) -> None:
        self.is_ending = True
        self._close_channel()
        if self._turns:
            self._turns[0].listener.on_nonsense(error)
        else:
            self.dismiss()

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
            self._close_channel()  # the host will tell its end
        else:
            self._reactor.want_write(self._channel, self._channel.has_unsent)

    def _close_channel(self) -> None:
        if self._channel is not None:
            self._reactor.forget(self._channel)
            self._channel.close()
            self._channel = None

    def _close_tray(self) -> None:
        if self._tray is not None:
            self._tray.close()
            self._tray = None
