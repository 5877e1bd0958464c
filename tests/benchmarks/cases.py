"""The cases: each returns figures by name, with their units in the names."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.benchmarks.server import ORCH, Server, serve
from tests.integration.harness import Engine

from orch.domain.cron import CronExpression, next_tick, previous_tick
from orch.domain.dagspec import DagSpec, TaskSpec

Figures = dict[str, float | int]

CHAIN = """
from orch import DAG, chain, task

with DAG("chain", schedule=None):
    @task
    def step():
        return None

    steps = [step.override(task_id=f"t{n}")() for n in range(LENGTH)]
    chain(*steps)
"""

FAN = """
from orch import DAG, task

with DAG("fan", schedule=None, max_active_tasks=100_000):
    @task
    def step():
        return None

    first, last = step.override(task_id="first")(), step.override(task_id="last")()
    first >> [step.override(task_id=f"t{n}")() for n in range(WIDTH)] >> last
"""

WIDE_POOL = {"ORCH_CORE_DEFAULT_POOL_SLOTS": "100000"}


def hop(rounds: int = 9) -> Figures:
    """User code to user code in a chain of 10, one run at a time."""
    with serve({"chain.py": CHAIN.replace("LENGTH", "10")}) as server:
        server.run_to_end("chain")
        before = server.cpu_seconds()
        hops = [gap for _ in range(rounds) for gap in _hops(server.run_to_end("chain"))]
        cpu = server.cpu_seconds() - before
    return {
        "hop_p50_ms": round(_percentile(hops, 50), 2),
        "hop_p99_ms": round(_percentile(hops, 99), 2),
        "cpu_ms_per_task": round(cpu * 1000 / (rounds * 10), 2),
    }


def fan_out(width: int = 1000) -> Figures:
    """1 -> width -> 1 with real processes, a fork per task."""
    with serve({"fan.py": FAN.replace("WIDTH", str(width))}, WIDE_POOL) as server:
        before = server.cpu_seconds()
        status = server.run_to_end("fan")
        cpu = server.cpu_seconds() - before
    tasks = status["tasks"]
    seconds = (
        max(_moment(task["ended_at"]) for task in tasks) - min(_moment(task["started_at"]) for task in tasks)
    ).total_seconds()
    return {
        "tasks_per_second": round(len(tasks) / seconds, 1),
        "cpu_ms_per_task": round(cpu * 1000 / len(tasks), 2),
    }


def chains(runs: int = 100, length: int = 10) -> Figures:
    """Many runs of a chain at once."""
    text = CHAIN.replace("LENGTH", str(length)).replace(
        "schedule=None", f"schedule=None, max_active_runs={runs}, max_active_tasks=100_000"
    )
    with serve({"chain.py": text}, WIDE_POOL) as server:
        server.run_to_end("chain")
        code = (
            "import subprocess, sys\n"
            f"for n in range({runs}): subprocess.run({[*ORCH]!r} + ['trigger', 'chain', '--run-id', f'r{{n}}'],"
            " stdout=subprocess.DEVNULL, check=True)"
        )
        subprocess.run([sys.executable, "-c", code], env=server.environment, check=True)
        statuses = [_wait(server, "chain", f"r{n}") for n in range(runs)]
    tasks = [task for status in statuses for task in status["tasks"]]
    seconds = (
        max(_moment(task["ended_at"]) for task in tasks) - min(_moment(task["started_at"]) for task in tasks)
    ).total_seconds()
    return {"tasks_per_second": round(len(tasks) / seconds, 1)}


def scheduler(width: int = 1000) -> Figures:
    """The scheduler with an executor that claims and reports at once, in one process."""
    figures: Figures = {}
    for name, spec in (("fan", _fan_spec(width)), ("fan_10000", _fan_spec(10_000))):
        with tempfile.TemporaryDirectory() as folder:
            engine = Engine.create(Path(folder) / "home")
            with engine.store.write("audit") as tx:
                tx.many("UPDATE limit_row SET size = ? WHERE kind = 'pool'", [(100_000,)])
            engine.add_dag(spec)
            engine.trigger(spec.dag_id)
            started = time.perf_counter()
            while engine.scheduler.run_once() + engine.work(limit=500):
                pass
            seconds = time.perf_counter() - started
            assert engine.run_state() == "success"
            engine.store.close()
        figures[f"{name}_tasks_per_second"] = round(len(spec.tasks) / seconds)
    return figures


def start_up() -> Figures:
    """`orch --help`, `orch status`, and `orch up` from an empty folder until it is ready."""
    figures: Figures = {"help_seconds": _median(lambda: _time("--help", "")), "up_ready_seconds": 0.0}
    ready = []
    for _ in range(3):
        with serve({"chain.py": CHAIN.replace("LENGTH", "3")}) as server:
            ready.append(server.ready_seconds)
            server.run_to_end("chain")
            status = _median(lambda home=str(server.home): _time("status", home, "chain"))  # type: ignore[misc]
    return figures | {"status_seconds": status, "up_ready_seconds": round(statistics.median(ready), 3)}


def idle(seconds: float = 20.0) -> Figures:
    """Everything up and nothing to do."""
    with serve({"chain.py": CHAIN.replace("LENGTH", "3")}) as server:
        server.run_to_end("chain")
        time.sleep(2)
        before, started = server.cpu_seconds(), time.perf_counter()
        time.sleep(seconds)
        cpu = server.cpu_seconds() - before
        share = 100 * cpu / (time.perf_counter() - started)
        return {
            "cpu_percent_of_a_core": round(share, 2),
            "pss_mb": round(server.pss_megabytes(), 1),
            "processes": len(server.tree()),
        }


def dag_files(files: int = 500, tasks: int = 10) -> Figures:
    """Many DAG files: the first scan, and a scan when nothing has changed."""
    from orch.dagfiles.processor import DagProcessor
    from orch.plugins import load_plugins
    from orch.settings import load_settings
    from orch.store import migrate
    from orch.store.engine import Store

    text = CHAIN.replace("LENGTH", str(tasks))
    with tempfile.TemporaryDirectory() as folder:
        dags = Path(folder) / "dags"
        dags.mkdir()
        for number in range(files):
            (dags / f"dag_{number}.py").write_text(text.replace('"chain"', f'"chain_{number}"'))
        settings = load_settings(Path(folder) / "home", {"ORCH_DAGS": str(dags)})
        migrate.upgrade(settings.database.url)
        store = Store.open(settings.database.url)
        processor = DagProcessor(settings, store, load_plugins(settings))
        started = time.perf_counter()
        processor.run_once()
        cold = time.perf_counter() - started
        started = time.perf_counter()
        processor.run_once()
        unchanged = time.perf_counter() - started
        with store.read() as tx:
            ((count,),) = tx.rows("SELECT COUNT(*) FROM dag")
        processor.close()
        store.close()
    assert count == files
    return {"cold_seconds": round(cold, 2), "unchanged_seconds": round(unchanged, 4)}


def cron(rounds: int = 2000) -> Figures:
    """Median time of one search: from today, from 30 years later, and for a tick that is 40 years away."""
    zone = ZoneInfo("Europe/Berlin")
    today, later = datetime(2024, 5, 17, 13, 14, tzinfo=UTC), datetime(2054, 5, 17, 13, 14, tzinfo=UTC)
    figures: Figures = {}
    for name, text in CRON.items():
        expression = CronExpression.parse(text)
        for when, after in (("near", today), ("in_30_years", later)):
            figures[f"{name}_{when}_us"] = _median_micros(next_tick, rounds, expression, after, zone)
    rare, far = CronExpression.parse("0 0 * 2 MON#5"), datetime(2072, 3, 1, tzinfo=UTC)
    assert next_tick(rare, far, zone) == datetime(2112, 2, 28, 23, tzinfo=UTC)
    return figures | {
        "40_years_ahead_us": _median_micros(next_tick, rounds, rare, far, zone),
        "40_years_back_us": _median_micros(
            previous_tick, rounds, rare, datetime(2112, 2, 1, tzinfo=UTC), zone
        ),
        "parse_us": _median_micros(CronExpression.parse, rounds, CRON["work_days"]),
    }


CRON = {"every_5_minutes": "*/5 * * * *", "work_days": "0 6 * * MON-FRI", "leap_day": "0 0 29 2 *"}

CASES: dict[str, Callable[[], Figures]] = {
    "start_up": start_up,
    "hop": hop,
    "fan_out": fan_out,
    "scheduler": scheduler,
    "dag_files": dag_files,
    "idle": idle,
    "chains": chains,
    "cron": cron,
}


def _fan_spec(width: int) -> DagSpec:
    middle = [TaskSpec(f"t{n}", "Test", ("first",)) for n in range(width)]
    last = TaskSpec("last", "Test", tuple(task.task_id for task in middle))
    return DagSpec("fan", (TaskSpec("first", "Test"), *middle, last), max_active_tasks=100_000)


def _hops(status: dict[str, Any]) -> list[float]:
    tasks = sorted(status["tasks"], key=lambda task: str(task["started_at"]))
    return [
        (_moment(after["started_at"]) - _moment(before["ended_at"])).total_seconds() * 1000
        for before, after in pairwise(tasks)
    ]


def _wait(server: Server, dag_id: str, run_id: str) -> dict[str, Any]:
    import json

    while True:
        status: dict[str, Any] = json.loads(server.orch("status", dag_id, run_id, "--json"))
        if status["state"] in ("success", "failed"):
            return status


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _median_micros(function: Callable[..., object], rounds: int, *arguments: object) -> float:
    function(*arguments)
    spans = []
    for _ in range(rounds):
        started = time.perf_counter_ns()
        function(*arguments)
        spans.append(time.perf_counter_ns() - started)
    return round(statistics.median(spans) / 1000, 1)


def _median(measure: Callable[[], float]) -> float:
    return round(statistics.median(measure() for _ in range(5)), 3)


def _time(command: str, home: str, *arguments: str) -> float:
    import os

    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    if home:
        environment["ORCH_HOME"] = home
    script = str(Path(sys.executable).parent / "orch")
    started = time.perf_counter()
    subprocess.run([script, command, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started
