"""A worker under test: started in its own process, given tasks, asked what it told its store."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from orch.worker.logs import LogLine, read_end, read_log

PATIENCE = 20.0
SCRIPT = Path(__file__).with_name("worker_process.py")

PREAMBLE = """
import os, signal, sys, threading, time
from orch import DAG, Fail, Skip, task

def tell(*words):
    with open({signals!r}, "w") as signals:
        signals.write(" ".join(map(str, words)) + "\\n")

def wait_for_ever():
    tell(os.getpid())
    while True:
        signal.pause()

def double_fork():
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writer, str(os.getpid()).encode())
            while True:
                signal.pause()
        os._exit(0)
    return int(os.read(reader, 32))

"""


class Harness:
    """One worker, its DAG file, and a FIFO on which user code tells the test what it does."""

    def __init__(self, folder: Path, environ: dict[str, str] | None = None, **options: Any) -> None:
        self.dags = folder / "dags"
        self.logs = folder / "logs"
        self.dags.mkdir()
        self.logs.mkdir()
        self._signals_path = folder / "signals"
        os.mkfifo(self._signals_path)
        self._signals = os.open(self._signals_path, os.O_RDWR | os.O_NONBLOCK)
        self._said = b""
        self._events: list[dict[str, Any]] = []
        self._unread = b""
        self._numbers = 0
        settings = {
            "dags_folder": str(self.dags),
            "logs_folder": str(self.logs),
            "parallelism": 4,
            "poll_seconds": 30.0,
            "heartbeat_seconds": 0.05,
            "kill_grace_seconds": 0.5,
            **options,
        }
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(os.getpid()), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environ or {})},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None

    def write_dag(self, body: str, file: str = "flow.py") -> None:
        """Write a DAG file: `body` stands inside `with DAG("flow")`, after helpers."""
        indented = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
        text = PREAMBLE.format(signals=str(self._signals_path)) + "with DAG('flow'):\n" + indented
        (self.dags / file).write_text(text)

    def order(self, **order: Any) -> None:
        """Tell the store in the worker what to do; it wakes the worker like a hint."""
        assert self.process.stdin is not None
        os.write(self.process.stdin.fileno(), (json.dumps(order) + "\n").encode())

    def tasks(self, *task_ids: str, dag_file: str = "flow.py", **more: Any) -> list[dict[str, Any]]:
        """Return claims of these tasks, with numbers of their own."""
        numbers = range(self._numbers + 1, self._numbers + len(task_ids) + 1)
        self._numbers += len(task_ids)
        pairs = zip(numbers, task_ids, strict=True)
        return [{"ti_id": number, "task_id": name, "dag_file": dag_file, **more} for number, name in pairs]

    def queue(self, *task_ids: str, **more: Any) -> None:
        """Let the worker claim these tasks."""
        self.order(queue=self.tasks(*task_ids, **more))

    def run(self, task_id: str, **more: Any) -> dict[str, Any]:
        """Run one task and return its report."""
        self.queue(task_id, **more)
        return self.wait_for("report", task=task_id)

    def wait_for(self, event: str, **fields: Any) -> dict[str, Any]:
        """Return the next event of this kind with these fields; others stay for later."""
        until = time.monotonic() + PATIENCE
        while True:
            for found in self._events:
                if found["event"] == event and all(found.get(k) == v for k, v in fields.items()):
                    self._events.remove(found)
                    return found
            self._read_events(until, f"{event} {fields}")

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return the events of a kind that have come and were not waited for."""
        return [found for found in self._events if found["event"] == event]

    def next_signal(self) -> str:
        """Return the next line that user code has told."""
        until = time.monotonic() + PATIENCE
        while b"\n" not in self._said:
            ready = select.select([self._signals], [], [], max(0.0, until - time.monotonic()))[0]
            assert ready, f"user code told nothing; worker: {self._events} {self._unread!r}"
            self._said += os.read(self._signals, 65536)
        line, _, self._said = self._said.partition(b"\n")
        return line.decode()

    def log(self, report: dict[str, Any]) -> list[LogLine]:
        """Return the lines of the log that a report names."""
        return list(read_log(self.logs / report["log"]))

    def log_text(self, report: dict[str, Any], stream: str | None = None) -> str:
        """Return the text of a log."""
        return "\n".join(line.text for line in self.log(report) if stream in (None, line.stream))

    def log_end(self, report: dict[str, Any]) -> str | None:
        """Return the outcome in the end mark of a log."""
        return read_end(self.logs / report["log"])

    def end(self) -> tuple[int, str]:
        """Wait for the end of the worker; return its exit code and what it has written to stderr."""
        assert self.process.stderr is not None
        self.process.wait(PATIENCE)
        return self.process.returncode, self.process.stderr.read().decode()

    def children(self) -> list[int]:
        """Return the hosts of the worker."""
        return children_of(self.process.pid)

    def close(self) -> None:
        """End everything."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None and not stream.closed:
                stream.close()
        os.close(self._signals)

    def _read_events(self, until: float, what: str) -> None:
        assert self.process.stdout is not None
        ready = select.select([self.process.stdout], [], [], max(0.0, until - time.monotonic()))[0]
        assert ready, f"no {what} came; there was {self._events}"
        data = os.read(self.process.stdout.fileno(), 1 << 20)
        assert data, f"the worker has ended before {what}: {self.end()}; there was {self._events}"
        *lines, self._unread = (self._unread + data).split(b"\n")
        self._events += [json.loads(line) for line in lines]


def children_of(pid: int) -> list[int]:
    """Return the children of any process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def open_pidfds(pids: Sequence[int]) -> list[int]:
    """Return descriptors by which `all_ended` sees the ends; none for a process that is gone already."""
    fds = []
    for pid in pids:
        with suppress(ProcessLookupError):
            fds.append(os.pidfd_open(pid))
    return fds


def all_ended(pidfds: Sequence[int], seconds: float) -> bool:
    """Wait until all of these processes have ended, at most `seconds`; closes the descriptors."""
    until = time.monotonic() + seconds
    try:
        return all(select.select([fd], [], [], max(0.0, until - time.monotonic()))[0] for fd in pidfds)
    finally:
        for fd in pidfds:
            os.close(fd)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
