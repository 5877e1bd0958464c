"""A real `orch up` in a home of its own, and what its processes cost."""

import compileall
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orch

TICKS = os.sysconf("SC_CLK_TCK")
ORCH = [sys.executable, "-m", "orch"]


def compile_everything() -> None:
    """Write the bytecode of orch and its dependencies, so that no process of a measurement compiles anything."""
    import sysconfig

    folders = [Path(orch.__file__).parent, Path(sysconfig.get_paths()["purelib"])]
    folders += [Path(orch.__file__).parents[3] / "providers"]
    for folder in folders:
        compileall.compile_dir(folder, quiet=2, workers=os.cpu_count() or 1)


@dataclass
class Server:
    """A running `orch up`."""

    process: subprocess.Popen[bytes]
    home: Path
    dags: Path
    environment: dict[str, str]
    ready_seconds: float

    def orch(self, *arguments: str) -> str:
        """Run one command; return what it prints."""
        done = subprocess.run(
            [*ORCH, *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"orch {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    def run_to_end(self, dag_id: str, *, allow: tuple[str, ...] = ("success",)) -> dict[str, Any]:
        """Trigger a run, wait for its end, return its status as `orch status --json` prints it."""
        run_id = self.orch("trigger", dag_id, "--wait").split()[0]
        status: dict[str, Any] = json.loads(self.orch("status", dag_id, run_id, "--json"))
        if status["state"] not in allow:
            raise RuntimeError(f"run {run_id} of {dag_id} ended as {status['state']}")
        return status

    def cpu_seconds(self) -> float:
        """Return the CPU time of the whole tree so far, ended processes included."""
        return sum(_cpu_of(pid) for pid in self.tree())

    def pss_megabytes(self) -> float:
        """Return the proportional memory of the whole tree."""
        return sum(_pss_of(pid) for pid in self.tree()) / 1024

    def create_file_micros(self, files: int = 200) -> float:
        """Return the CPU time of creating a file in the home, which is part of every task.

        On ext4 it is 10 to 1,000 microseconds: for minutes the inodes of deleted files are passed over one by one.
        """
        folder = self.home / "created"
        folder.mkdir()
        before = time.process_time()
        for number in range(files):
            os.close(os.open(folder / str(number), os.O_CREAT | os.O_WRONLY))
        return (time.process_time() - before) * 1e6 / files

    def tree(self) -> list[int]:
        """Return the process ids of `orch up` and all its living descendants."""
        found, frontier = [self.process.pid], [self.process.pid]
        while frontier:
            pid = frontier.pop()
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    children = [int(child) for child in (task / "children").read_text().split()]
                    found += children
                    frontier += children
        return found


@contextmanager
def serve(files: dict[str, str], settings: dict[str, str] | None = None) -> Iterator[Server]:
    """Start `orch up` on these DAG files (name -> text) in an empty home; end it with the block."""
    with tempfile.TemporaryDirectory(prefix="orch-bench-") as folder:
        home, dags = Path(folder) / "home", Path(folder) / "dags"
        dags.mkdir()
        for name, text in files.items():
            (dags / name).write_text(text)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ORCH_")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment |= {"ORCH_HOME": str(home), "ORCH_DAGS": str(dags), **(settings or {})}
        started = time.perf_counter()
        process = subprocess.Popen(
            [*ORCH, "up"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            _wait_ready(process, len(files))
            yield Server(process, home, dags, environment, time.perf_counter() - started)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _wait_ready(process: subprocess.Popen[bytes], files: int) -> None:
    """Read the plain lines of `orch up` until it says that it is ready."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line.decode())
        if "ready" in seen[-1]:
            return
    raise RuntimeError(f"orch up ended with {files} DAG files: {''.join(seen)}")


def _cpu_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(int(fields[index]) for index in (11, 12, 13, 14)) / TICKS


def _pss_of(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
