"""Lineage: dying with the parent, adopting orphans, and finding the children of this process."""

import ctypes
import functools
import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Container
from pathlib import Path

from orch.clock import monotonic

log = logging.getLogger("orch.processes")

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def die_with_parent(parent_pid: int) -> None:
    """From now on the kernel kills this process when its parent dies; it ends at once if that is so already.

    Call it in a child; `parent_pid` is what the parent's getpid() returned before the fork or exec. The setting
    belongs to the thread that made the child and is not inherited by children of this process. Without prctl
    (other systems than Linux) only the check is made, and the end of a shared socket must tell the rest.
    """
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)


def outlive_parent() -> None:
    """Undo `die_with_parent`: for a process that has to clean up after its parent's death.

    It is told by the end of a socket that it shares with the parent; the kernel only continues it if it is stopped.
    """
    _prctl(PR_SET_PDEATHSIG, signal.SIGCONT)


def become_subreaper() -> None:
    """From now on orphaned descendants become children of this process, so none can hide by forking twice."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def boot_id() -> str:
    """Return a text that changes whenever this machine boots; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def children() -> set[int]:
    """Return the process ids of all children of this process, zombies included; empty without /proc."""
    own = f"/proc/{os.getpid()}/task"
    found: set[int] = set()
    try:
        for thread in os.listdir(own):  # noqa: PTH208  # listdir costs a third of Path.iterdir here
            with open(f"{own}/{thread}/children", "rb", buffering=0) as file:  # noqa: PTH123  # the same
                found.update(map(int, file.read().split()))
    except FileNotFoundError:
        return _children_by_scan()
    return found


def kill_strangers(known: Container[int]) -> set[int]:
    """Kill and reap each child whose id is not in `known`; return those that are still dying.

    Orphans of a killed stranger become children in turn, so call it again until it returns an empty set. A child
    that runs as another user cannot be killed: it is named in a warning once, is not returned, since nobody can
    wait for it, and is reaped by the first call after its end.
    """
    dying: set[int] = set()
    for pid in children():
        if pid in known:
            continue
        try:
            is_killed = _kill(pid)
            if os.waitpid(pid, os.WNOHANG) == (0, 0) and is_killed:
                dying.add(pid)
        except (ProcessLookupError, ChildProcessError):
            continue
    return dying


def end_strangers(known: Container[int], seconds: float) -> set[int]:
    """Kill strangers until none is left, at most for `seconds`; return those that hang in the kernel.

    It does not wait for children of another user, which cannot be killed.
    """
    until = monotonic() + seconds
    while (dying := kill_strangers(known)) and (left := until - monotonic()) > 0:
        _wait_for_an_end(dying, left)
    return dying


def _kill(pid: int) -> bool:
    """Return False when the process belongs to another user."""
    try:
        os.kill(pid, signal.SIGKILL)
    except PermissionError:
        _warn_of_unkillable(pid)
        return False
    return True


@functools.cache
def _warn_of_unkillable(pid: int) -> None:
    """Warn once for each process, however often it is met."""
    words = (
        "process %d was left behind and runs as another user, so that orch may not kill it; end it yourself"
    )
    log.warning(words, pid)


def _wait_for_an_end(pids: set[int], seconds: float) -> None:
    """Wait until one of these children has ended. Its id stays its own until this process reaps it."""
    fds = [os.pidfd_open(pid) for pid in pids]
    try:
        ended = select.poll()
        for fd in fds:
            ended.register(fd, select.POLLIN)
        ended.poll(seconds * 1000)
    finally:
        for fd in fds:
            os.close(fd)


def _children_by_scan() -> set[int]:
    own, found = os.getpid(), set()
    try:
        entries = [entry for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208  # as above
    except OSError:
        return set()
    for entry in entries:
        try:
            stat = Path("/proc", entry, "stat").read_bytes()
        except OSError:
            continue
        if int(stat.rpartition(b")")[2].split()[1]) == own:
            found.add(int(entry))
    return found


def _prctl(option: int, value: int) -> None:
    if (prctl := _libc_prctl()) and prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0))) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")


@functools.cache
def _libc_prctl() -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    return ctypes.CDLL(None, use_errno=True).prctl
