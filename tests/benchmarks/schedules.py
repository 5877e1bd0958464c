"""Cases about schedules: many that tick at once, and previews of many years."""

import sqlite3
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from tests.benchmarks.server import Server, serve

from orch.cli.commands.schedule import as_document, lines
from orch.domain.dagspec import DagSpec, TimetableSpec
from orch.domain.preview import Preview, Stretch, preview
from orch.domain.timetables import timetable_of
from orch.domain.zones import find_zone
from orch.operations.schedule import ScheduleAnswer

Figures = dict[str, float | int]

MINUTELY = """
from orch import DAG, chain, task

for number in range(FIRST, FIRST + COUNT):
    with DAG(f"minutely_{number}", schedule="* * * * *"):
        @task
        def step():
            return None

        chain(*(step.override(task_id=f"t{n}")() for n in range(2 + number % 2)))
"""
FILES = 20
LONGEST_TICK = timedelta(seconds=55)


def minutely(dags: int = 1000, ticks: int = 3) -> Figures:
    """Many DAGs with a tick each minute, in real time, with real workers that run their 2 or 3 tasks.

    Another process looks for new runs every few milliseconds: a run counts as committed when that one sees it,
    which is a little later than it was. The first tick warms up and is left out.
    """
    each = dags // FILES
    files = {
        f"part{part}.py": MINUTELY.replace("FIRST", str(part * each)).replace("COUNT", str(each))
        for part in range(FILES)
    }
    with serve(files, {"ORCH_CORE_DEFAULT_POOL_SLOTS": "100000"}) as server, _drained(server):
        database = server.home / "orch.db"
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            _wait_until_all_are_scheduled(connection, dags)
            _watch(connection, _next_minute())
            scheduler = _scheduler_pid(connection)
            delays: list[float] = []
            rates: list[float] = []
            cpu = -_cpu_seconds(scheduler)
            for _ in range(ticks):
                seen, rate = _watch(connection, _next_minute())
                assert len(seen) == dags, f"{len(seen)} of {dags} runs"
                delays += seen
                rates.append(rate)
            cpu += _cpu_seconds(scheduler)
    delays.sort()
    return {
        "tick_to_commit_p50_seconds": round(delays[len(delays) // 2], 3),
        "tick_to_commit_p99_seconds": round(delays[int(len(delays) * 0.99)], 3),
        "tick_to_commit_max_seconds": round(delays[-1], 3),
        "scheduler_cpu_percent_of_a_core": round(100 * cpu / (60 * ticks), 1),
        "scheduler_cpu_ms_per_run": round(1000 * cpu / len(delays), 2),
        "runs_per_minute": round(len(delays) / ticks),
        "tasks_per_second_from_tick_to_last_end": round(statistics.median(rates)),
    }


def _watch(connection: sqlite3.Connection, tick: datetime) -> tuple[list[float], float]:
    """Return how long after the tick each of its runs was seen, and how many of their tasks ended per second."""
    time.sleep(max(0.0, (tick - datetime.now(UTC)).total_seconds() - 0.5))
    (last,) = connection.execute("SELECT COALESCE(MAX(id), 0) FROM dag_run").fetchone()
    micros, begin, seen = int(tick.timestamp()) * 1_000_000, last, []
    while datetime.now(UTC) < tick + LONGEST_TICK:
        rows = connection.execute(
            "SELECT id FROM dag_run WHERE id > ? AND logical_date = ? ORDER BY id", (last, micros)
        ).fetchall()
        if rows:
            last = rows[-1][0]
            seen += [(datetime.now(UTC) - tick).total_seconds()] * len(rows)
        elif seen and _open_tasks(connection, begin, micros) == 0:
            break
        time.sleep(0.005 if not seen or len(rows) else 0.02)
    ended, tasks = connection.execute(
        "SELECT MAX(t.ended_at), COUNT(*) FROM dag_run r JOIN task_instance t ON t.run_pk = r.id"
        " WHERE r.id > ? AND r.logical_date = ? AND t.state = 'success'",
        (begin, micros),
    ).fetchone()
    return seen, tasks / max(0.001, (ended - micros) / 1e6) if ended else 0.0


def _open_tasks(connection: sqlite3.Connection, begin: int, micros: int) -> int:
    (count,) = connection.execute(
        "SELECT COUNT(*) FROM dag_run WHERE id > ? AND logical_date = ? AND state IN ('queued', 'running')",
        (begin, micros),
    ).fetchone()
    return int(count)


def _wait_until_all_are_scheduled(connection: sqlite3.Connection, dags: int) -> None:
    until = time.monotonic() + 120
    while connection.execute("SELECT COUNT(*) FROM schedule_cursor WHERE next_tick_at > 0").fetchone() != (
        dags,
    ):
        if time.monotonic() > until:
            raise RuntimeError("the DAG files were not read in two minutes")
        time.sleep(0.1)


def _scheduler_pid(connection: sqlite3.Connection) -> int:
    (pid,) = connection.execute(
        "SELECT pid FROM process WHERE role = 'scheduler' AND ended_at IS NULL"
    ).fetchone()
    return int(pid)


def _cpu_seconds(pid: int) -> float:
    spans = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(spans[0]) / 1e9


def _next_minute() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)


@contextmanager
def _drained(server: Server) -> Iterator[None]:
    """Read what `orch up` prints, so that it never waits for a reader."""
    stream = server.process.stdout
    assert stream is not None
    thread = threading.Thread(target=_read_away, args=(stream,), daemon=True)
    thread.start()
    yield


def _read_away(stream: IO[bytes]) -> None:
    try:
        while stream.read(65536):
            pass
    except ValueError:
        return  # closed


def preview_years() -> Figures:
    """Ten years of hours, with clock changes: each run with its mark, then as lines and as JSON values.

    Milliseconds of CPU, which other work on the machine disturbs least, and of the clock.
    """
    figures: Figures = {}
    for name, kind in (
        ("point", None),
        ("interval", TimetableSpec("cron_interval", {"expression": "0 * * * *"})),
    ):
        spec = DagSpec("d", schedule="0 * * * *", timetable=kind, timezone="Europe/Berlin")
        runs = _preview(spec)
        assert len(runs.runs) == 87_600
        assert sum(run.mark is not None for run in runs.runs) == 10
        cpu, wall = _milliseconds(lambda spec=spec: deque(_preview(spec).runs, maxlen=0))  # type: ignore[misc]
        figures |= {f"{name}_cpu_ms": cpu, f"{name}_ms": wall}
    answer = ScheduleAnswer("d", spec, runs, is_cut=False)
    figures["lines_cpu_ms"], _ = _milliseconds(lambda: list(lines(answer)))
    figures["json_values_cpu_ms"], _ = _milliseconds(lambda: as_document(answer))
    return figures


def _preview(spec: DagSpec) -> Preview:
    first = datetime(2024, 1, 1, tzinfo=UTC)
    stretch = Stretch(first, first + timedelta(hours=87_599), 100_000)
    return preview(timetable_of(spec), find_zone(spec.timezone), stretch)


def _milliseconds(act: Callable[[], object]) -> tuple[float, float]:
    """Return the medians of CPU time and of time."""
    act()
    spans = []
    for _ in range(7):
        cpu, started = time.process_time(), time.perf_counter()
        act()
        spans.append((time.process_time() - cpu, time.perf_counter() - started))
    cpu_ms, wall_ms = (round(1000 * statistics.median(column), 1) for column in zip(*spans, strict=True))
    return cpu_ms, wall_ms
