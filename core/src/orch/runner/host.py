"""The host: imports one DAG file once and makes task processes of it by fork; `python -m orch.runner.host`.

It has no database, decides nothing, and speaks with its supervisor only (host_wire has the protocol).
"""

import argparse
import faulthandler
import gc
import os
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from orch.failpoints import Failpoints
from orch.processes import (
    SignalPipe,
    become_subreaper,
    children,
    die_with_parent,
    end_strangers,
    kill_strangers,
    outlive_parent,
)
from orch.runner.command import TaskCommand
from orch.runner.host_task import NO_RESULT, FindOperator, serve_task
from orch.runner.host_wire import Frame, Wire, WireClosed
from orch.runner.loading import find_task, load_dags
from orch.runner.reset.streams import prepare_output
from orch.runner.tray import TrayReader

LAST_SECONDS = 5.0
"""How long a host waits for the end of all that its tasks have started."""


class Host:
    """The serving half of a host, after the import."""

    def __init__(self, control: Wire, spawn: "Spawner") -> None:
        self._control = control
        self._spawn = spawn
        self._pids: dict[int, int] = {}
        """Task processes: key → process id."""
        self._imported = children()
        """Processes that the import of the DAG file has started: they may stay."""

    def serve(self) -> None:
        """Serve until the supervisor is gone or wants no more; then no descendant of this process is left."""
        with SignalPipe((signal.SIGCHLD,)) as child_ended, selectors.DefaultSelector() as selector:
            self._spawn.keep_from_children(child_ended, selector)
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(child_ended, selectors.EVENT_READ)
            try:
                self._control.send(Frame({"op": "ready", "threads": threading.active_count() - 1}))
                while True:
                    self._one_round(selector, child_ended)
            except WireClosed:
                self._kill_all()
        end_strangers((), LAST_SECONDS)

    def _one_round(self, selector: selectors.BaseSelector, child_ended: SignalPipe) -> None:
        for key, _ in selector.select():
            if key.fileobj is child_ended:
                child_ended.drain()
                self._reap()
            else:
                for frame in self._control.receive() or ():
                    self._handle(frame)

    def _handle(self, frame: Frame) -> None:
        key = int(frame.head["key"])
        if frame.op == "spawn":
            self._control.send(self._spawned(key, frame.fds))
        elif frame.op == "kill" and key in self._pids:
            _signal_group(self._pids[key], int(frame.head["signal"]))
            self._control.send(Frame({"op": "signalled", "key": key}))

    def _spawned(self, key: int, fds: Sequence[int]) -> Frame:
        try:
            self._pids[key] = self._spawn(*fds)
        except OSError as error:  # no more processes or memory for now
            return Frame({"op": "not_spawned", "key": key, "error": str(error)})
        finally:
            for fd in fds:
                os.close(fd)
        return Frame({"op": "spawned", "key": key, "pid": self._pids[key]})

    def _reap(self) -> None:
        keys = {pid: key for key, pid in self._pids.items()}
        while (pid := _ended_child()) is not None:
            if pid in keys:
                _signal_group(pid, signal.SIGKILL)  # before it is reaped its id cannot be another's
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if pid in keys:
                del self._pids[keys[pid]]
                self._control.send(Frame({"op": "exited", "key": keys[pid], "status": status}))
        # Orphans of a living task process are its own children; all others that came here are leftovers.
        kill_strangers(self._imported | set(self._pids.values()))

    def _kill_all(self) -> None:
        for pid in self._pids.values():
            _signal_group(pid, signal.SIGKILL)


class Spawner:
    """Makes task processes: by fork, or by exec when the import has left threads running, which no fork survives."""

    def __init__(self, arguments: argparse.Namespace, find: FindOperator, control: Wire) -> None:
        self._arguments = arguments
        self._find = find
        self._control = control
        self._failpoints = Failpoints.from_environment()
        self._not_for_children: tuple[SignalPipe, selectors.BaseSelector] | None = None

    def keep_from_children(self, pipe: SignalPipe, selector: selectors.BaseSelector) -> None:
        """Close these in each fork. All else that is open was opened by the DAG file, and its objects rely on it."""
        self._not_for_children = (pipe, selector)

    def __call__(self, channel_fd: int, tray_fd: int) -> int:
        """Return the process id of a new task process that serves this channel and takes from this tray."""
        make = self._exec if threading.active_count() > 1 else self._fork
        return make(channel_fd, tray_fd)

    def _fork(self, channel_fd: int, tray_fd: int) -> int:
        host = os.getpid()
        held_back = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT))
        try:
            pid = os.fork()
            if pid == 0:
                self._be_task(channel_fd, tray_fd, host)
            return pid
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held_back)

    def _be_task(self, channel_fd: int, tray_fd: int, host: int) -> NoReturn:
        try:
            self._control.close()
            for item in self._not_for_children or ():
                item.close()
            channel, tray = Wire(socket.socket(fileno=channel_fd)), TrayReader(tray_fd)
            serve_task(channel, tray, host, self._find, self._failpoints)
        finally:
            os._exit(NO_RESULT)  # whatever happens, this process must never go on as a second host

    def _exec(self, channel_fd: int, tray_fd: int) -> int:
        for fd in (channel_fd, tray_fd):
            os.set_inheritable(fd, True)
        own = self._arguments
        command = host_command(channel_fd, os.getpid(), own.dag_file, own.dags_folder, own.layout)
        return os.posix_spawn(sys.executable, [*command, "--tray", str(tray_fd)], os.environ)


def host_command(
    fd: int, parent: int, dag_file: str, dags_folder: str, layout: str | None = None
) -> list[str]:
    """Return the command line of a host whose control socket is `fd`; `-P` keeps the working folder off its path.

    With `layout` it reads all files in that copy of the dags folder.
    """
    places = ["--dag-file", dag_file, "--dags-folder", dags_folder]
    if layout is not None:
        places += ["--layout", layout]
    return [sys.executable, "-P", "-m", "orch.runner.host", "--fd", str(fd), "--parent", str(parent), *places]


def main(argv: Sequence[str] | None = None) -> int:
    """Import the DAG file and serve; with `--tray` be one task process instead. Return the exit code."""
    arguments = _parse(argv)
    die_with_parent(arguments.parent)
    faulthandler.enable()
    prepare_output()
    os.set_inheritable(arguments.fd, False)
    wire = Wire(socket.socket(fileno=arguments.fd))
    if arguments.tray is not None:
        os.set_inheritable(arguments.tray, False)
        tray = TrayReader(arguments.tray)
        serve_task(wire, tray, arguments.parent, _finder_or_reason(arguments), Failpoints.from_environment())
    return _serve(arguments, wire)


def _ended_child() -> int | None:
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return found and found.si_pid


def _signal_group(leader: int, number: int) -> None:
    for send in (os.killpg, os.kill):  # a young task process leads no group yet
        try:
            send(leader, number)
            break
        except ProcessLookupError:
            continue
        except PermissionError:
            break  # what is left runs as another user


def _serve(arguments: argparse.Namespace, control: Wire) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # only the supervisor decides when a host ends
    try:
        find = _finder(arguments)
    except BaseException:  # the DAG file's edge: even SystemExit must come back as the reason of the failure
        control.send(Frame({"op": "import_failed"}, traceback.format_exc()))
        return 1
    # Frozen objects are never visited by the collector, so that forks do not copy the pages they are on.
    gc.collect()
    gc.freeze()
    become_subreaper()
    outlive_parent()  # from here on the end of the control socket tells, and leaves time to clean up
    Host(control, Spawner(arguments, find, control)).serve()
    return 0


def _finder(arguments: argparse.Namespace) -> FindOperator:
    dags = load_dags(arguments.dag_file, arguments.dags_folder, arguments.layout)
    return partial(find_task, dags, is_stored=arguments.layout is not None)


def _finder_or_reason(arguments: argparse.Namespace) -> FindOperator:
    try:
        return _finder(arguments)
    except BaseException as error:  # the DAG file's edge: reported when the attempt asks for its task
        reason = error

    def fail(_: TaskCommand) -> NoReturn:
        raise reason

    return fail


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="orch.runner.host", description=__doc__)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--dag-file", required=True)
    parser.add_argument("--dags-folder", required=True)
    parser.add_argument("--layout")
    parser.add_argument("--tray", type=int)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
