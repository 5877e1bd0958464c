"""The task process: waits for its start, runs one attempt, hands over the outcome on its channel, and ends."""

import io
import os
import signal
import stat
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
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

FindOperator = Callable[[TaskCommand], BaseOperator]
"""Returns the operator of a command from the imported DAG file, or raises what says why it is not there."""

NO_RESULT = 70
"""Exit code of a task process that could not hand over its outcome."""


class SupervisorChannel:
    """The channel of `run_attempt`, to the supervisor."""

    def __init__(self, wire: Wire) -> None:
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
                self._wire.send(Frame({**message, "id": self._questions}))
                while (answer := self._wire.receive_one()).head.get("id") != self._questions:
                    continue  # an execution timeout cut off the wait for that answer
            except WireClosed as error:
                raise ConnectionError(f"the supervisor of this task is gone: {error}") from None
            return {"value": answer.text if answer.head.get("found") else None}

    def is_intact(self) -> bool:
        """Tell whether the descriptor is still the channel: user code may have closed or replaced any of them."""
        return os.getpid() == self._pid and _identity(self._wire) == self._identity


def serve_task(channel: Wire, host_pid: int, find_operator: FindOperator, failpoints: Failpoints) -> NoReturn:
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
        status = _serve_one(channel, find_operator, failpoints)
    except WireClosed:
        status = 0  # it was a spare one, and its supervisor wants it no more
    except BaseException:  # the edge of the process: without an outcome the text in the log is all there is
        traceback.print_exc()
    finally:
        _flush()
        os._exit(status)


def prepare_output() -> None:
    """Make stdout and stderr write each line at once, as UTF-8, whatever the locale; before the first fork."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, encoding="utf-8", errors="backslashreplace")


def _serve_one(channel: Wire, find_operator: FindOperator, failpoints: Failpoints) -> int:
    if not channel.is_readable:
        with suppress(Exception):  # a rehearsal that fails must not cost the performance
            rehearse()
    start = channel.receive_one()
    for number, fd in zip((1, 2), start.fds, strict=True):
        os.dup2(fd, number)
        os.close(fd)
    command = TaskCommand.from_json(start.text)
    bridge = SupervisorChannel(channel)
    outcome = _attempt(command, find_operator, bridge, failpoints)
    _flush()
    if not bridge.is_intact():
        sys.stderr.write("orch: the task closed its channel, or this is a fork of it; its result is lost\n")
        return NO_RESULT
    channel.send(Frame({"op": "outcome"}, _encode(outcome)))
    return 0


def _attempt(
    command: TaskCommand, find_operator: FindOperator, channel: SupervisorChannel, failpoints: Failpoints
) -> Outcome:
    began_at = system_clock()
    try:
        operator = find_operator(command)
    except (
        BaseException
    ) as error:  # the DAG file's edge: a file that broke, or lost the task, fails the attempt
        return _not_found(began_at, error)
    return run_attempt(command, operator, channel, failpoints)


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
    size = len(text.encode("utf-8", "surrogatepass"))
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


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            continue  # user code has closed it


def _identity(wire: Wire) -> tuple[int, int] | None:
    try:
        found = os.fstat(wire.fileno())
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None
