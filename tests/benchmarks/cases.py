"""The cases: each returns figures by name, with their units in the names."""

import contextlib
import io
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

from tests.benchmarks.schedules import minutely, preview_years
from tests.benchmarks.server import Server, serve
from tests.integration.harness import Engine

from orch import DAG, task
from orch.domain.cron import CronExpression, next_tick, previous_tick
from orch.domain.dagspec import DagSpec, TaskSpec
from orch.store.queries import limits
from orch.store.queries.admission import plan_admission

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
    @task(isolation=ISOLATION)
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
    """1 -> width -> 1 with real processes, reused or forked for each task; the second run, all being warm."""
    figures: Figures = {}
    for isolation in ("reuse", "fork"):
        text = FAN.replace("WIDTH", str(width)).replace("ISOLATION", repr(isolation))
        with serve({"fan.py": text}, WIDE_POOL) as server:
            server.run_to_end("fan")
            before = server.cpu_seconds()
            tasks = server.run_to_end("fan")["tasks"]
            cpu = server.cpu_seconds() - before
            create = server.create_file_micros()
        figures[f"{isolation}_tasks_per_second"] = round(len(tasks) / _seconds(tasks), 1)
        figures[f"{isolation}_cpu_ms_per_task"] = round(cpu * 1000 / len(tasks), 2)
        figures[f"{isolation}_create_file_us"] = round(create, 1)
    return figures


def chains(runs: int = 100, length: int = 10) -> Figures:
    """Many runs of a chain at once."""
    text = CHAIN.replace("LENGTH", str(length)).replace(
        "schedule=None", f"schedule=None, max_active_runs={runs}, max_active_tasks=100_000"
    )
    with serve({"chain.py": text}, WIDE_POOL) as server:
        server.run_to_end("chain")
        server.orch("pause", "chain")  # so that all runs begin together
        for n in range(runs):
            server.orch("trigger", "chain", "--run-id", f"r{n}")
        before = server.cpu_seconds()
        server.orch("unpause", "chain")
        _wait(server, "chain", f"r{runs - 1}")
        tasks = [task for n in range(runs) for task in _wait(server, "chain", f"r{n}")["tasks"]]
        cpu = server.cpu_seconds() - before
    return {
        "tasks_per_second": round(len(tasks) / _seconds(tasks), 1),
        "cpu_ms_per_task": round(cpu * 1000 / len(tasks), 2),
    }


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


def blocked(rounds: int = 200) -> Figures:
    """A chain of short tasks beside task instances that wait for slots: none, 1,000, 100,000, spread in two ways."""
    figures: Figures = {}
    for name, dags, tasks, pools in (
        ("none", 0, 0, 1), ("1000_in_1_dag", 1, 1_000, 1), ("100000_in_1_dag", 1, 100_000, 1),
        ("1000_in_100_dags", 100, 10, 1), ("100000_in_100_dags", 100, 1_000, 1),
        ("100000_in_100_dags_5_full_pools", 100, 1_000, 5),
    ):  # fmt: skip
        figures |= {f"{name}_{what}": value for what, value in _beside(dags, tasks, pools, rounds).items()}
    per_task = [value for name, value in figures.items() if name.endswith("cpu_us_per_task")]
    return figures | {"worst_ratio_cpu_per_task": round(max(per_task) / per_task[0], 2)}


def _beside(dags: int, tasks: int, pools: int, rounds: int) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine.create(Path(folder) / "home")
        with engine.store.write("audit") as tx:
            for number in range(1, pools):
                limits.set_size(tx, "pool", f"full{number}", 0)
        for number in range(dags):
            pool = "default" if pools == 1 else f"full{1 + number % (pools - 1)}"
            waiting = tuple(TaskSpec(f"t{n}", "Test", pool=pool, executor="Nobody") for n in range(tasks))
            engine.add_dag(DagSpec(f"waits{number}", waiting, max_active_tasks=1))
            engine.trigger(f"waits{number}")
        while engine.scheduler.run_once():
            pass
        idle = _seconds_of(engine.scheduler.run_once, 20)
        with engine.store.read() as tx:
            plan = _seconds_of(lambda: plan_admission(tx, 500), 20)
        chain = tuple(TaskSpec(f"t{n}", "Test", (f"t{n - 1}",) if n else ()) for n in range(rounds))
        engine.add_dag(DagSpec("chain", chain))
        engine.trigger("chain")
        before = time.process_time()
        while engine.scheduler.run_once() + engine.work():
            pass
        cpu = time.process_time() - before
        assert engine.value("SELECT state FROM dag_run WHERE dag_id = 'chain'") == "success"
        engine.store.close()
    return {
        "admission_us": round(plan * 1e6),
        "idle_round_us": round(idle * 1e6),
        "cpu_us_per_task": round(cpu / rounds * 1e6),
    }


def _seconds_of(act: Callable[[], object], times: int) -> float:
    """Return the median CPU time of a call."""
    spans = []
    for _ in range(times):
        before = time.process_time()
        act()
        spans.append(time.process_time() - before)
    return statistics.median(spans)


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


def in_process(width: int = 1000) -> Figures:
    """`DAG.test()` with tasks that do nothing: in the calling thread, and in eight."""
    dag = _fan_of_functions(width)
    figures: Figures = {}
    for threads in (1, 8):
        with contextlib.redirect_stdout(io.StringIO()):
            began, cpu = time.perf_counter(), time.process_time()
            dag.test(parallelism=threads).raise_for_state()
        figures[f"{threads}_threads_tasks_per_second"] = round((width + 2) / (time.perf_counter() - began))
        figures[f"{threads}_threads_cpu_ms_per_task"] = round(
            (time.process_time() - cpu) / (width + 2) * 1000, 3
        )
    return figures


def _fan_of_functions(width: int) -> DAG:
    @task
    def step() -> None:
        return None

    with DAG("fan") as dag:
        first, last = step.override(task_id="first")(), step.override(task_id="last")()
        first >> [step() for _ in range(width)] >> last
    return dag


CASES: dict[str, Callable[[], Figures]] = {
    "start_up": start_up,
    "hop": hop,
    "fan_out": fan_out,
    "scheduler": scheduler,
    "blocked": blocked,
    "dag_files": dag_files,
    "idle": idle,
    "chains": chains,
    "cron": cron,
    "preview": preview_years,
    "minutely": minutely,
    "in_process": in_process,
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


def _seconds(tasks: list[dict[str, Any]]) -> float:
    """Return the time from the first start to the last end."""
    ends, starts = ([_moment(task[name]) for task in tasks] for name in ("ended_at", "started_at"))
    return (max(ends) - min(starts)).total_seconds()


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
