"""A shell command as a group of processes: started, read to its end, and ended as a whole."""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping

_CHUNK = 64 * 1024
_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 2.0
_POLL_SECONDS = 0.02


class ShellCommand:
    """One run of `bash -c` in a process group of its own; its stderr is the caller's, its stdin empty."""

    def __init__(self, command: str, env: Mapping[str, str], cwd: str) -> None:
        self._process = subprocess.Popen(
            ["bash", "-c", command],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            process_group=0,
            preexec_fn=_die_with_parent(),  # a task process runs no other thread meanwhile
        )
        self._group = self._process.pid
        self._bash = os.pidfd_open(self._process.pid)

    def output(self) -> Iterator[bytes]:
        """Yield what is written to its stdout, as it comes, until bash has ended or nobody can write any more.

        Once bash has ended, what it left running in its group is killed, so that this ends too.
        """
        stdout = self._process.stdout
        if stdout is None:
            return
        while not self._has_ended_while_waiting_for(stdout.fileno()):
            if not (chunk := os.read(stdout.fileno(), _CHUNK)):
                return
            yield chunk
        self._signal(signal.SIGKILL)  # bash is not reaped yet, so its group's number cannot be another's
        os.set_blocking(stdout.fileno(), False)
        with contextlib.suppress(BlockingIOError):  # a daemon in another group holds it open: not our concern
            while chunk := os.read(stdout.fileno(), _CHUNK):
                yield chunk

    def wait(self) -> int:
        """Return the exit code of bash, minus the signal if one killed it; what it left in its group is killed."""
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self._signal(signal.SIGKILL)
        return self._process.wait()

    def end(self) -> None:
        """End the whole group: SIGTERM, and after a grace SIGKILL for what is left. Does nothing after `wait`."""
        if self._process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        give_up_at = time.monotonic() + _GRACE_SECONDS
        while self._has_members() and time.monotonic() < give_up_at:
            time.sleep(_POLL_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Give back the descriptors."""
        if self._process.stdout is not None and not self._process.stdout.closed:
            self._process.stdout.close()
            os.close(self._bash)

    def _has_ended_while_waiting_for(self, stdout: int) -> bool:
        """Wait until bash has ended or `stdout` can be read; return whether bash has ended."""
        poll = select.poll()
        poll.register(stdout, select.POLLIN)
        poll.register(self._bash, select.POLLIN)
        return any(fd == self._bash for fd, _ in poll.poll())

    def _has_members(self) -> bool:
        if self._process.poll() is not None:
            with contextlib.suppress(
                ChildProcessError
            ):  # orphans of bash may have become children of this process
                while os.waitpid(-self._group, os.WNOHANG)[0]:
                    continue
        try:
            os.killpg(self._group, 0)
        except ProcessLookupError:
            return False
        return True

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._group, number)


def _die_with_parent() -> Callable[[], None]:
    """Return what makes a new process die as soon as this one has, even by SIGKILL."""
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            os.kill(os.getpid(), signal.SIGKILL)

    return in_child
