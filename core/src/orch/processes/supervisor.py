"""Supervisor: starts the components of one installation by fork, starts dead ones again, and ends them all."""

import io
import os
import selectors
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from orch.clock import monotonic
from orch.processes.lineage import become_subreaper, die_with_parent, end_strangers, kill_strangers
from orch.processes.signals import SignalPipe, StopSignal, describe_exit

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""A component that lived this long starts again with the first delay."""

LAST_SECONDS = 5.0
"""How long it waits for the end of what its components have left behind."""

_HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


@dataclass(frozen=True)
class Component:
    """One role that runs in a process of its own."""

    name: str
    run: Callable[[StopSignal], int | None]
    """Called in the child with a stop signal that answers to SIGTERM only; returns the exit code, None means 0."""
    log_path: Path | None = None
    """Where its stdout and stderr are appended; None keeps the supervisor's."""
    ends_all: bool = False
    """True: it is not started again; when it ends everything ends, with its exit code."""
    outlives: bool = False
    """True: it is asked to stop only when the others have ended."""


@dataclass(frozen=True)
class ComponentEvent:
    """What happened to a component."""

    name: str
    kind: str
    """'started', 'ended', or 'restarting' (it ended without being asked to and starts again after a delay)."""
    pid: int
    exit: str = ""
    """How it ended: 'exit code 1', 'signal 9 (SIGKILL)'."""
    delay_seconds: float = 0.0


@dataclass
class _Child:
    component: Component
    pid: int | None = None
    started_at: float = 0.0
    start_at: float | None = 0.0
    """When to start it next; None: not again."""
    delay: float = FIRST_DELAY_SECONDS
    stopping: bool = False


class Supervisor:
    """Parent of the components. Its process must stay free of threads, database connections and own children.

    It adopts whatever its components leave behind and kills it.
    """

    def __init__(
        self,
        components: Sequence[Component],
        *,
        grace_seconds: float,
        on_event: Callable[[ComponentEvent], None] | None = None,
        on_stop: Callable[[], None] | None = None,
    ) -> None:
        self._children = [_Child(component) for component in components]
        self._grace_seconds = grace_seconds
        self._on_event = on_event
        self._on_stop = on_stop
        self._kill_at: float | None = None
        self._exit_code = 0
        self._stops_seen = 0

    def run(self, stop: StopSignal) -> int:
        """Run all components until `stop` or until one that `ends_all` has ended; return the exit code.

        When it returns no process that it started is left: each was sent SIGTERM, and SIGKILL `grace_seconds`
        later. A further stop request is passed on as a further SIGTERM. `on_stop` is called at each.
        """
        become_subreaper()
        with SignalPipe((signal.SIGCHLD,)) as child_ended, selectors.DefaultSelector() as selector:
            selector.register(stop, selectors.EVENT_READ, stop)
            selector.register(child_ended, selectors.EVENT_READ, child_ended)
            while not self._is_over():
                self._start_due(stop, child_ended)
                for key, _ in selector.select(self._timeout()):
                    key.data.drain()
                self._reap()
                self._pass_on_stop(stop)
                self._kill_late()
        end_strangers((), LAST_SECONDS)
        return self._exit_code

    def _is_over(self) -> bool:
        return self._kill_at is not None and all(child.pid is None for child in self._children)

    def _timeout(self) -> float | None:
        moments = [c.start_at for c in self._children if c.pid is None and c.start_at is not None]
        if self._kill_at is not None:
            moments.append(self._kill_at)
        return max(0.0, min(moments) - monotonic()) if moments else None

    def _start_due(self, stop: StopSignal, child_ended: SignalPipe) -> None:
        now = monotonic()
        for child in self._children:
            if child.pid is None and child.start_at is not None and child.start_at <= now:
                child.pid = _fork(child.component, (stop, child_ended))
                child.started_at, child.start_at = now, None
                self._tell(child, "started")

    def _reap(self) -> None:
        for child in self._children:
            if child.pid is not None:
                pid, status = os.waitpid(child.pid, os.WNOHANG)
                if pid:
                    self._ended(child, os.waitstatus_to_exitcode(status))
        kill_strangers(self._pids())

    def _ended(self, child: _Child, status: int) -> None:
        words = describe_exit(status)
        if child.component.ends_all:
            self._exit_code = status if status >= 0 else 1
            self._tell(child, "ended", words)
            self._begin_end()
        elif self._kill_at is not None:
            self._tell(child, "ended", words)
        else:
            self._schedule_restart(child, words)
        child.pid = None

    def _schedule_restart(self, child: _Child, words: str) -> None:
        now = monotonic()
        if now - child.started_at >= STEADY_SECONDS:
            child.delay = FIRST_DELAY_SECONDS
        child.start_at = now + child.delay
        self._tell(child, "restarting", words, child.delay)
        child.delay = min(child.delay * 2, LONGEST_DELAY_SECONDS)

    def _pass_on_stop(self, stop: StopSignal) -> None:
        if stop.count > self._stops_seen:
            self._stops_seen = stop.count
            if self._on_stop is not None:
                self._on_stop()
            self._begin_end()
            for child in self._children:
                child.stopping = False
        if self._kill_at is None:
            return
        others_alive = any(c.pid is not None for c in self._children if not c.component.outlives)
        for child in self._children:
            if (
                child.pid is not None
                and not child.stopping
                and not (child.component.outlives and others_alive)
            ):
                child.stopping = True
                os.kill(child.pid, signal.SIGTERM)

    def _begin_end(self) -> None:
        if self._kill_at is None:
            self._kill_at = monotonic() + self._grace_seconds
            for child in self._children:
                child.start_at = None

    def _kill_late(self) -> None:
        if self._kill_at is not None and monotonic() >= self._kill_at:
            for pid in self._pids():
                os.kill(pid, signal.SIGKILL)
            self._kill_at = monotonic() + 1.0

    def _pids(self) -> set[int]:
        return {child.pid for child in self._children if child.pid is not None}

    def _tell(self, child: _Child, kind: str, words: str = "", delay: float = 0.0) -> None:
        if self._on_event is not None:
            self._on_event(ComponentEvent(child.component.name, kind, child.pid or 0, words, delay))


def _fork(component: Component, inherited: Sequence[SignalPipe]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    # Held back around the fork: a signal that meets the child too early would run the parent's handlers there.
    former = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
    try:
        pid = os.fork()
        if pid == 0:
            _be_component(component, parent, inherited)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _be_component(component: Component, parent: int, inherited: Sequence[SignalPipe]) -> NoReturn:
    status = 1
    try:
        die_with_parent(parent)
        for pipe in inherited:
            pipe.close()
        signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # a terminal's Ctrl-C reaches all; only the parent decides
        stop = StopSignal((signal.SIGTERM,))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)
        if component.log_path is not None:
            _redirect_output(component.log_path)
        status = component.run(stop) or 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # the edge of the process: whatever it was, its text belongs into the log
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _redirect_output(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
