"""The task process: takes starts from its tray, runs one attempt after the other, and hands over each outcome."""

import os
import signal
import stat
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, NoReturn

from orch.authoring.operator import BaseOperator
from orch.clock import system_clock
from orch.failpoints import Failpoints
from orch.processes import become_subreaper, die_with_parent
from orch.runner.command import TaskCommand
from orch.runner.execute import run_attempt
from orch.runner.failure import one_line, traceback_text
from orch.runner.host_rehearsal import rehearse
from orch.runner.host_wire import MAX_TEXT_BYTES, Frame, Wire, WireClosed
from orch.runner.outcome import Outcome
from orch.runner.reset.entry import CannotReset
from orch.runner.reset.slate import Slate
from orch.runner.reset.streams import flush_output
from orch.runner.tray import Start, TrayReader

FindOperator = Callable[[TaskCommand], BaseOperator]
"""Returns the operator of a command from the imported DAG file, or raises what says why it is not there."""

NO_RESULT = 70
"""Exit code of a task process that could not hand over its outcome."""
_PIPES = (1, 2)


class SupervisorChannel:
    """The channel of `run_attempt`, to the supervisor; one for all attempts of the process."""

    def __init__(self, wire: Wire) -> None:
        self.nonce = ""
        """Of the attempt that is running."""
        self._wire = wire
        self._identity = _identity(wire)
        self._pid = os.getpid()
        self._one_at_a_time = threading.Lock()
        self._questions = 0

    def request(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return the supervisor's answer; raise ConnectionError when it is gone or this is not the task process."""
        with self._one_at_a_time:
            if not self.is_intact():
                raise ConnectionError("the task's channel was closed, or this is a fork of the task process")
            self._questions += 1
            try:
                self._wire.send(Frame({**message, "nonce": self.nonce, "id": self._questions}))
                while (answer := self._wire.receive_one()).head.get("id") != self._questions:
                    continue  # an execution timeout cut off the wait for that answer
            except WireClosed as error:
                raise ConnectionError(f"the supervisor of this task is gone: {error}") from None
            return {"value": answer.text if answer.head.get("found") else None}

    def send_outcome(self, outcome: Outcome, ends: str | None) -> None:
        """Hand over the outcome of the running attempt; `ends` says why the process takes no other."""
        self._wire.send(Frame({"op": "outcome", "nonce": self.nonce, "ends": ends}, _encode(outcome)))

    def is_intact(self) -> bool:
        """Tell whether the descriptor is still the channel: user code may have closed or replaced any of them."""
        return os.getpid() == self._pid and _identity(self._wire) == self._identity


def serve_task(
    channel: Wire, tray: TrayReader, host_pid: int, find_operator: FindOperator, failpoints: Failpoints
) -> NoReturn:
    """Be a task process until the end; a fresh one, single-threaded, that shares nothing it may break.

    It leads a session and process group of its own, dies with its host, and adopts its orphans: helpers that
    a task starts may live as long as the attempt, and come to the host when it has ended.
    """
    status = NO_RESULT
    try:
        os.setsid()
        die_with_parent(host_pid)
        become_subreaper()
        _reset_signals()
        status = TaskServer(channel, tray, find_operator, failpoints).serve()
    except WireClosed:
        status = 0  # its supervisor wants it no more
    except BaseException:  # the edge of the process: without an outcome the text in the log is all there is
        traceback.print_exc()
    finally:
        flush_output()
        os._exit(status)


class TaskServer:
    """The life of a task process, until its supervisor wants no more or it is not clean any more."""

    def __init__(
        self, channel: Wire, tray: TrayReader, find_operator: FindOperator, failpoints: Failpoints
    ) -> None:
        self._tray = tray
        self._channel = SupervisorChannel(channel)
        self._find_operator = find_operator
        self._failpoints = failpoints

    def serve(self) -> int:
        """Run what comes; return the exit code."""
        if not self._tray.is_readable:
            with suppress(Exception):  # a rehearsal that fails must not cost the performance
                rehearse()
        slate: Slate | None = None
        while True:
            start, *pipes = self._tray.take()
            for number, fd in zip(_PIPES, pipes, strict=True):
                os.dup2(fd, number)
                os.close(fd)
            if slate is None and start.keep:
                slate = Slate(_PIPES)  # one for a single task would be for nothing
            self._channel.nonce = start.nonce
            attempt = partial(self._attempt, start)
            outcome = attempt() if slate is None else slate.run(attempt)
            ends = self._why_it_ends(start, outcome, slate)
            if ends is not None:
                flush_output()  # a wiped slate has done so
            if not self._channel.is_intact():
                sys.stderr.write(
                    "orch: the task closed its channel, or this is a fork of it; its result is lost\n"
                )
                return NO_RESULT
            self._channel.send_outcome(outcome, ends)
            del start, attempt, outcome  # what they hold must not live on into the next attempt
            if ends is not None:
                return 0
            for number in _PIPES:
                os.dup2(0, number)  # stdin is /dev/null: what is written between two attempts belongs to none

    def _attempt(self, start: Start) -> Outcome:
        command = TaskCommand.from_json(start.command)
        began_at = system_clock()
        try:
            operator = self._find_operator(command)
        except (
            BaseException
        ) as error:  # the DAG file's edge: a file that broke, or lost the task, fails the attempt
            return _not_found(began_at, error)
        return run_attempt(command, operator, self._channel, self._failpoints)

    def _why_it_ends(self, start: Start, outcome: Outcome, slate: Slate | None) -> str | None:
        """Return why the process must not run another task; None when it is as it was before this one."""
        if slate is None or not start.keep:
            return "it was for this task only"
        if outcome.kind == "failed":
            return "the task failed"
        if not self._channel.is_intact():
            return "the channel is gone"
        try:
            slate.wipe()
        except CannotReset as error:
            return f"it cannot be reset: {error}"
        left = slate.leftovers.found(start.growth_bytes)
        return None if left is None else f"the task left {left} behind"


def _not_found(began_at: datetime, error: BaseException) -> Outcome:
    return Outcome(
        kind="failed",
        started_at=began_at,
        ended_at=system_clock(),
        error=one_line(error),
        traceback=traceback_text(error),
        reason="dag_import_failed",
    )


def _encode(outcome: Outcome) -> str:
    text = outcome.to_json()
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if size <= MAX_TEXT_BYTES:
        return text
    sentence = f"its XComs take {size:,} bytes together; return a path or an id instead"
    return Outcome(
        kind="failed",
        started_at=outcome.started_at,
        ended_at=outcome.ended_at,
        error=sentence,
        retryable=False,
        reason="xcom_refused",
    ).to_json()


def _reset_signals() -> None:
    """Give the task Python's own handlers: the host ignores what a terminal sends."""
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _identity(wire: Wire) -> tuple[int, int] | None:
    try:
        found = os.fstat(wire.fileno())
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None
