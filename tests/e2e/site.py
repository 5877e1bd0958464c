"""A home and a dags folder of one test, and a real `orch up` on them whose lines can be waited for."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ORCH = str(Path(sys.executable).parent / "orch")
FAST = {
    "ORCH_SCHEDULER_POLL_SECONDS": "0.2",
    "ORCH_SCHEDULER_HEARTBEAT_SECONDS": "0.5",
    "ORCH_WORKER_HEARTBEAT_SECONDS": "0.5",
    "ORCH_SCHEDULER_LEASE_SECONDS": "3",
    "ORCH_WORKER_LEASE_SECONDS": "3",
    "ORCH_SCHEDULER_GRACE_SECONDS": "1",
    "ORCH_WORKER_DRAIN_SECONDS": "5",
    "ORCH_WORKER_KILL_GRACE_SECONDS": "1",
    "ORCH_DAGFILES_POLL_SECONDS": "0.2",
}
"""Leases and pauses of tests, shorter than the product's."""


def clean_environment(**values: str) -> dict[str, str]:
    """Return the environment without any ORCH_ variable but the given ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ORCH_")}
    return kept | FAST | values


@dataclass
class Up:
    """A running `orch up`; what it prints is read line by line."""

    process: subprocess.Popen[bytes]
    lines: list[str] = field(default_factory=list)
    _rest: bytes = b""

    def wait_for(self, pattern: str, *, seconds: float = 60.0) -> str:
        """Return the first line, old or new, that matches; fail with everything printed when none comes."""
        until = time.monotonic() + seconds
        seen = 0
        while True:
            for line in self.lines[seen:]:
                if re.search(pattern, line):
                    return line
            seen = len(self.lines)
            if not self._read(until - time.monotonic()):
                raise AssertionError(f"no line like {pattern!r} in:\n" + "\n".join(self.lines))

    def pid_of(self, component: str) -> int:
        """Return the process id of the newest incarnation of a component."""
        self.wait_for(rf"{component} started \(pid \d+\)")
        found = [m[1] for line in self.lines if (m := re.search(rf"{component} started \(pid (\d+)\)", line))]
        return int(found[-1])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, read the rest of its lines, return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        while self._read(60.0):
            continue
        return self.process.wait(10)

    def kill_everything(self) -> None:
        """End the whole tree by SIGKILL, in one blow and without any chance to clean up."""
        pids = [self.process.pid, *descendants(self.process.pid)]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):  # the death of its parent may come first
                    os.kill(pid, number)
        self.process.wait(10)
        while self._read(10.0):
            continue

    def _read(self, seconds: float) -> bool:
        """Read what has come; return False at the end or when nothing comes in time."""
        assert self.process.stdout is not None
        if seconds <= 0 or not select.select([self.process.stdout], [], [], seconds)[0]:
            return False
        data = os.read(self.process.stdout.fileno(), 65536)
        *whole, self._rest = (self._rest + data).split(b"\n")
        self.lines += [line.decode(errors="replace") for line in whole]
        return bool(data)


def descendants(pid: int) -> list[int]:
    """Return all living descendants of a process."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    except FileNotFoundError:
        return found
    return found


@dataclass
class Site:
    """Where one test works."""

    folder: Path
    ups: list[Up] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def dags(self) -> Path:
        return self.folder / "dags"

    def dag(self, name: str, text: str) -> None:
        """Write a DAG file."""
        self.dags.mkdir(exist_ok=True)
        (self.dags / f"{name}.py").write_text(text)

    def environment(self, **values: str) -> dict[str, str]:
        return clean_environment(ORCH_HOME=str(self.home), ORCH_DAGS=str(self.dags), **values)

    def up(self, *arguments: str, **values: str) -> Up:
        """Start `orch up`."""
        process = subprocess.Popen(
            [ORCH, "up", *arguments],
            env=self.environment(**values),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.ups.append(Up(process))
        return self.ups[-1]

    def orch(self, *arguments: str, **values: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [ORCH, *arguments],
            env=self.environment(**values),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """Run one command with `--json`; return what it prints."""
        done = self.orch(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def close(self) -> None:
        """End whatever still runs and let verify judge the database."""
        for up in self.ups:
            if up.process.poll() is None:
                up.kill_everything()
            assert up.process.stdout is not None
            up.process.stdout.close()
        if (self.home / "orch.db").exists():
            verified = self.orch("db", "verify")
            assert verified.returncode == 0, verified.stdout + verified.stderr
