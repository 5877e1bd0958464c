"""A host as its worker sees it: started by exec, importing one DAG file, then a maker of task processes."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orch.clock import monotonic
from orch.processes import describe_exit
from orch.runner.host import host_command
from orch.runner.host_wire import Frame, Wire, WireClosed, WireError
from orch.worker.crew import Crew, Runnable, Turnover
from orch.worker.reactor import Reactor
from orch.worker.seats import Seats
from orch.worker.task_process import TaskProcess

LAST_WAIT_SECONDS = 1.0
OWN_END_SECONDS = 0.2
"""How long a host that has closed its control socket gets to be seen dead before it is killed."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """What one host serves: a state of a DAG file."""

    dag_file: Path
    dags_folder: Path
    source_rev: str
    layout: Path | None = None
    """Where the stored state of the dags folder is laid out; None means the files as they are."""

    @property
    def loaded_file(self) -> Path:
        """The file that is imported."""
        if self.layout is None:
            return self.dag_file
        return self.layout / self.dag_file.relative_to(self.dags_folder)


class HostProcess:
    """One host. When it dies, everything that it made dies too."""

    def __init__(
        self,
        key: HostKey,
        environ: Mapping[str, str],
        reactor: Reactor,
        seats: Seats,
        turnover: Turnover,
        *,
        import_timeout_seconds: float,
        on_gone: Callable[["HostProcess"], None],
    ) -> None:
        self.key = key
        self.stat = stat_of(key.loaded_file)
        self.used_at = monotonic()
        self._seats = seats
        self.crew = Crew(reactor, seats, turnover, ask_for=self._ask_for, kill=self._kill_task)
        self._reactor = reactor
        self._on_gone = on_gone
        self._import_timeout_seconds = import_timeout_seconds
        self._import_until: float | None = self.used_at + import_timeout_seconds
        self._gone = False
        self._was_killed = False
        """True when it lived until this worker killed it."""
        self._process, self._control = _start(key, environ)
        reactor.watch(self._control, self._readable, self._flush)
        self._pidfd = os.pidfd_open(self._process.pid)
        # Not every end of a host closes its socket: the import may have forked a process that keeps it open.
        reactor.watch(self._pidfd, self._end)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_idle(self) -> bool:
        """True while it has nothing to do: all its task processes are idle."""
        return self.crew.is_idle

    @property
    def import_until(self) -> float | None:
        """When its import has taken too long; None once it is ready."""
        return self._import_until

    def run(self, attempt: Runnable) -> None:
        """Run the attempt as soon as the import is done and a task process has time."""
        self.used_at = monotonic()
        self.crew.add(attempt)

    def withdraw(self, attempt: Runnable) -> bool:
        """Forget an attempt that has not begun; return False when it has."""
        return self.crew.withdraw(attempt)

    def kill(self, process: TaskProcess, number: int) -> None:
        """Send a signal to the process group of a task, which gets no other attempt from now on.

        Nothing is sent when the task turns out to have ended already and its process to be free: it is dismissed.
        """
        process.doom()
        if process.is_busy:
            self._send(Frame({"op": "kill", "key": process.key, "signal": number}))

    def note_pace(self, seconds: float) -> None:
        """Take in how long an attempt took whose process goes on; infinite when it ends."""
        self._seats.pace.note(seconds)

    def check(self, now: float) -> None:
        """End the host when its import takes too long."""
        if self._import_until is not None and now >= self._import_until:
            limit = f"{self._import_timeout_seconds:g} s (dagfiles.import_timeout_seconds)"
            self._fail_waiting(f"the import of {self.key.dag_file} took longer than {limit}", None)
            self.destroy()
        elif not self._gone:
            self.crew.check(now)

    def dismiss(self) -> None:
        """Let it end: its control socket is closed, and it kills what is left of its own."""
        if not self._gone:
            self._gone = True
            self._forget()
            for task in self.crew.close():
                task.dismiss()

    def destroy(self) -> None:
        """Kill it at once, with all of its task processes; their listeners are told."""
        self._was_killed = self._process.poll() is None
        self._process.kill()
        self._end()

    def has_ended(self) -> bool:
        """Tell whether the process is gone; reaps it."""
        return self._process.poll() is not None

    def wait(self, seconds: float) -> None:
        """Wait for the end of a dismissed host; kill it when it takes longer."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(LAST_WAIT_SECONDS)

    def _lost_control(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(OWN_END_SECONDS)  # a dying process closes its socket a moment before its end
        self.destroy()

    def _ask_for(self, task: TaskProcess) -> None:
        self._send(Frame({"op": "spawn", "key": task.key}, fds=task.fds_for_child))

    def _kill_task(self, task: TaskProcess) -> None:
        self._send(Frame({"op": "kill", "key": task.key, "signal": signal.SIGKILL}))

    def _readable(self) -> None:
        try:
            frames = self._control.receive()
        except WireClosed:
            self._lost_control()
            return
        except WireError:
            self.destroy()
            return
        for frame in frames or ():
            if not self._gone:
                self._handle(frame)

    def _handle(self, frame: Frame) -> None:
        if frame.op == "ready":
            self._ready()
        elif frame.op == "import_failed":
            last_line = frame.text.strip().rpartition("\n")[2]
            self._fail_waiting(f"the DAG file cannot be imported: {last_line}", frame.text)
            self.destroy()
        elif frame.op == "spawned":
            self.crew[frame.head["key"]].pid = frame.head["pid"]
        elif frame.op == "signalled":
            self.crew[frame.head["key"]].was_signalled = True
        elif frame.op == "not_spawned":
            self.crew.not_spawned(frame.head["key"], frame.head["error"])
        elif frame.op == "exited":
            self.crew.pop(frame.head["key"]).ended(describe_exit(frame.head["status"]))

    def _ready(self) -> None:
        self._import_until = None
        self.crew.is_open = True
        self.crew.hand_out()

    def _end(self) -> None:
        """Tell everybody how it ended; the kernel has killed its task processes, or does so right now."""
        if self._gone:
            return
        self._gone = True
        self._hear_ends()
        self._forget()
        self.wait(LAST_WAIT_SECONDS)
        words = describe_exit(self._process.returncode)
        if self._process.returncode == -signal.SIGKILL and not self._was_killed:
            self._lose_waiting(words)
        else:
            self._fail_waiting(f"the process that imported {self.key.dag_file} ended with {words}", None)
        for task in self.crew.close():
            if task.pid is not None:
                _kill_orphan(task.pid)
            task.ended(f"the end of its host ({words})", with_host=True)
        for attempt in self.crew.take_waiting():  # claimed ahead, and not begun
            attempt.on_no_process(f"the end of its host ({words})")
        self._on_gone(self)

    def _hear_ends(self) -> None:
        """Handle the ends of task processes that the host has told last: those were not its fault."""
        with suppress(WireClosed, WireError):
            while (frames := self._control.receive()) is not None:
                for frame in frames:
                    if frame.op in ("spawned", "exited"):
                        self._handle(frame)

    def _lose_waiting(self, words: str) -> None:
        """Nobody in the process does this to itself: the system was short of memory, or somebody killed it."""
        for attempt in self.crew.take_waiting():
            attempt.on_lost(f"the end of its host ({words}) while it imported {self.key.dag_file}")

    def _fail_waiting(self, error: str, traceback: str | None) -> None:
        for attempt in self.crew.take_waiting():
            attempt.on_import_failed(error, traceback)

    def _forget(self) -> None:
        self._reactor.forget(self._control)
        self._control.close()
        self._reactor.forget(self._pidfd)
        os.close(self._pidfd)

    def _send(self, frame: Frame) -> None:
        if not self._gone:
            self._control.queue(frame)
            self._flush()

    def _flush(self) -> None:
        try:
            self._control.flush()
        except WireClosed:
            self._lost_control()
        else:
            self._reactor.want_write(self._control, self._control.has_unsent)


def _start(key: HostKey, environ: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], Wire]:
    ours, theirs = socket.socketpair()
    with theirs:
        fd = theirs.fileno()
        layout = None if key.layout is None else str(key.layout)
        command = host_command(fd, os.getpid(), str(key.dag_file), str(key.dags_folder), layout)
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=dict(environ), pass_fds=(fd,))
        except BaseException:
            ours.close()
            raise
    return process, Wire(ours)


def stat_of(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file changes; None when it cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _kill_orphan(pid: int) -> None:
    """Kill a dead host's task process, group and all, before its end is reported.

    The kernel does the same to the process alone. Its id is still its own: only this worker can reap it.
    """
    for send in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            send(pid, signal.SIGKILL)
