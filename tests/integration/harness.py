"""A real store with real scheduler services, and a stand-in for a worker that claims and reports at once."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from orch.clock import to_micros
from orch.domain.dagspec import DagSpec, TaskSpec
from orch.domain.states import Actor
from orch.domain.timetables import follows_end
from orch.failpoints import Failpoints
from orch.plugins import load_plugins
from orch.plugins.facade import Plugins
from orch.runner.outcome import Outcome
from orch.scheduler.service import Scheduler
from orch.settings import Settings, load_settings
from orch.store import migrate
from orch.store.engine import Store
from orch.store.execution import AttemptReport, Claimed, Execution
from orch.store.queries import lanes, limits, pauses, run_creation
from orch.store.queries.processes import ProcessInfo
from orch.store.queries.run_creation import CreatedRun, NewRun
from orch.store.queries.transitions import By
from orch.store.tables import dag, dag_version, schedule_cursor
from orch.store.verify import verify


class FakeClock:
    """A clock that moves only when told to, a microsecond at each look so that no two moments are equal."""

    def __init__(self, now: datetime = datetime(2024, 1, 1, 12, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)


Behaviour = Callable[[Claimed], str]
"""Returns the kind of outcome: success, failed, skipped, fatal (failed and not retryable)."""


@dataclass
class Engine:
    """Everything of one test database, in one process and on one clock."""

    settings: Settings
    store: Store
    clock: FakeClock
    plugins: Plugins
    execution: Execution
    scheduler: Scheduler
    worker: str = "worker-1-test"
    claims: list[Claimed] = field(default_factory=list)

    @classmethod
    def create(cls, home: Path, failpoints: Failpoints | None = None) -> "Engine":
        settings = load_settings(home, {})
        migrate.upgrade(settings.database.url)
        clock = FakeClock()
        store = Store.open(settings.database.url, failpoints=failpoints, clock=clock)
        plugins = load_plugins(settings)
        execution = Execution(store)
        engine = cls(settings, store, clock, plugins, execution, Scheduler(settings, store, plugins))
        engine.register_worker(engine.worker)
        return engine

    def register_worker(self, incarnation: str, lock_path: str | None = None) -> None:
        self.execution.register(
            ProcessInfo(incarnation, "worker", "elsewhere", "", 1, lock_path, None, 4, 3600.0)
        )

    def add_dag(self, spec: DagSpec, *, paused: bool = False) -> None:
        """Register a DAG as the DAG processor does."""
        with self.store.write("register_dags") as tx:
            dag_pk = tx.conn.execute(
                sa.insert(dag).returning(dag.c.id),
                {"dag_id": spec.dag_id, "file": f"{spec.dag_id}.py", "is_paused": paused, "schedule": spec.schedule,
                 "created_at": tx.now, "updated_at": tx.now},
            ).scalar_one()  # fmt: skip
            version = tx.conn.execute(
                sa.insert(dag_version).returning(dag_version.c.id),
                {"dag_pk": dag_pk, "number": 1, "structure_hash": spec.structure_hash, "structure": spec.to_json(),
                 "created_at": tx.now},
            ).scalar_one()  # fmt: skip
            tx.conn.execute(sa.update(dag).where(dag.c.id == dag_pk).values(current_version_id=version))
            cursor = {
                "dag_pk": dag_pk,
                "next_tick_at": 0,
                "follows_end": follows_end(spec),
                "changed_at": tx.now,
            }
            tx.conn.execute(sa.insert(schedule_cursor), cursor)
            if paused:
                pauses.note(tx, spec.dag_id, is_paused=True)
            limits.set_size(tx, "dag_tasks", spec.dag_id, spec.max_active_tasks or 16)
            limits.set_size(tx, "dag_runs", spec.dag_id, spec.max_active_runs or 16)
            lanes.set_task_limits(tx, dag_pk, spec)

    def trigger(self, dag_id: str, run_id: str = "manual__1", **values: object) -> CreatedRun:
        with self.store.write("create_run") as tx:
            row = run_creation.find_dag(tx, dag_id)
            assert row is not None
            new = NewRun(dag_id, run_id, "manual", self.clock.now, **values)  # type: ignore[arg-type]
            return run_creation.create_run(
                tx, row, new, default_executor="LocalExecutor", by=By(Actor.OPERATOR, "test")
            )

    def work(self, behaviour: Behaviour = lambda _: "success", *, limit: int = 100) -> int:
        """Claim up to `limit` and report each at once; return how many."""
        claimed = self.execution.claim(self.worker, ["LocalExecutor"], limit)
        self.claims += claimed
        reports = [self.report_of(item, behaviour(item)) for item in claimed]
        answers = self.execution.report(self.worker, reports)
        assert set(answers) <= {"accepted"}
        return len(claimed)

    def report_of(self, item: Claimed, kind: str) -> AttemptReport:
        started_at = self.clock()
        outcome = Outcome(
            kind="failed" if kind == "fatal" else kind,  # type: ignore[arg-type]
            started_at=started_at,
            ended_at=self.clock(),
            error=None if kind == "success" else f"{kind} on purpose",
            retryable=kind != "fatal",
            xcoms=(("return_value", '"done"'),) if kind == "success" else (),
        )
        return AttemptReport(item.ti_id, item.epoch, item.nonce, outcome)

    def run(self, behaviour: Behaviour = lambda _: "success", *, rounds: int = 1000) -> None:
        """Schedule and work until nothing moves any more."""
        for _ in range(rounds):
            if not self.scheduler.run_once() + self.work(behaviour):
                return
        raise AssertionError(f"still moving after {rounds} rounds")

    def states(self, run_id: str = "manual__1") -> dict[str, str]:
        with self.store.read() as tx:
            return dict(
                tx.rows(
                    "SELECT t.task_id, t.state FROM task_instance t JOIN dag_run r ON r.id = t.run_pk"
                    " WHERE r.run_id = ?",
                    (run_id,),
                )
            )

    def run_state(self, run_id: str = "manual__1") -> str:
        with self.store.read() as tx:
            return str(tx.rows("SELECT state FROM dag_run WHERE run_id = ?", (run_id,))[0][0])

    def value(self, sql: str, *parameters: object) -> object:
        with self.store.read() as tx:
            return tx.rows(sql, parameters)[0][0]

    def check(self) -> None:
        """Assert that no invariant is broken."""
        findings = verify(self.store)
        assert findings == [], "\n".join(finding.message for finding in findings)


def spec_of(
    edges: dict[str, str], dag_id: str = "d", *, rules: dict[str, str] | None = None, **task_values: object
) -> DagSpec:
    """`{"a": "", "b": "a"}` is a -> b; several upstreams are separated by spaces."""
    tasks = tuple(
        TaskSpec(
            name,
            "Test",
            tuple(up.split()),
            trigger_rule=(rules or {}).get(name, "all_success"),
            **task_values,  # type: ignore[arg-type]
        )
        for name, up in edges.items()
    )
    return DagSpec(dag_id, tasks)


def random_spec(seed: int, size: int) -> DagSpec:
    """A random DAG with random trigger rules; the seed is all there is to know."""
    from orch.domain.trigger_rules import TriggerRule

    source = random.Random(seed)
    rules = list(TriggerRule)
    tasks = []
    for number in range(size):
        upstream = tuple(f"t{n}" for n in range(number) if source.random() < 2.5 / size)
        tasks.append(TaskSpec(f"t{number}", "Test", upstream, trigger_rule=source.choice(rules)))
    return DagSpec(f"random_{seed}", tuple(tasks))


__all__ = ["Engine", "FakeClock", "random_spec", "spec_of", "to_micros"]
