"""The two runners behind one face: each carries out a scenario and says what moved."""

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.contract.scenarios import Scenario
from tests.integration.harness import Engine, FakeClock

from orch.clock import from_micros
from orch.inprocess.execution import Claim
from orch.inprocess.invariants import find_broken
from orch.inprocess.performer import Perform, Ready
from orch.inprocess.run_clock import RunClock
from orch.inprocess.runner import Options, Runner
from orch.runner.outcome import Outcome
from orch.store.execution import Claimed
from orch.store.queries import limits

Moved = tuple[str, str, str, int]
"""(task id, old state, new state, try)."""


@dataclass(frozen=True)
class Played:
    """What a runner made of a scenario."""

    run_state: str
    states: dict[str, str]
    moves: list[Moved]
    """In the order of the history."""
    reasons: dict[str, str | None]

    def of_task(self) -> dict[str, list[Moved]]:
        """The moves of each task, in their order."""
        found: dict[str, list[Moved]] = {task_id: [] for task_id in self.states}
        for move in self.moves:
            found[move[0]].append(move)
        return found


def play_on_engine(scenario: Scenario, home: Path) -> Played:
    """One worker that takes one task at a time, on a real database with the real scheduler."""
    engine = Engine.create(home)
    try:
        engine.add_dag(scenario.spec)
        with engine.store.write("pool") as tx:
            for pool, size in scenario.pools.items():
                limits.set_size(tx, "pool", pool, size)
        engine.trigger(scenario.spec.dag_id)
        _drive(engine, scenario)
        engine.check()
        return _played_on(engine)
    finally:
        engine.store.close()


def _drive(engine: Engine, scenario: Scenario) -> None:
    starts: Counter[str] = Counter()

    def behaviour(item: Claimed) -> str:
        return scenario.kind(item.task_id, starts[item.task_id])

    for _ in range(10_000):
        engine.clock.advance(microseconds=100)  # dispatch rows of one transaction are a microsecond apart
        moved = engine.scheduler.run_once()
        for item in engine.execution.claim(engine.worker, ["LocalExecutor"], 1):
            moved += 1
            starts[item.task_id] += 1
            if behaviour(item) == "lost":
                engine.execution.lost(engine.worker, [(item.ti_id, item.epoch, item.nonce)])
                late = engine.execution.report(engine.worker, [engine.report_of(item, "success")])
                assert late == ["refused"]
            elif behaviour(item) == "late":
                _reach_due(engine)
                engine.scheduler.run_once()
                late = engine.execution.report(engine.worker, [engine.report_of(item, "success")])
                assert late == ["refused"]
            else:
                report = engine.report_of(item, behaviour(item))
                assert engine.execution.report(engine.worker, [report]) == ["accepted"]
        if moved:
            continue
        if engine.run_state() != "running":
            return
        _reach_due(engine)
    raise AssertionError("still moving")


def _reach_due(engine: Engine) -> None:
    due_at = engine.value("SELECT MIN(due_at) FROM dag_run WHERE state = 'running'")
    assert isinstance(due_at, int), "the run waits for nothing"
    engine.clock.now = max(engine.clock.now, from_micros(due_at))


def _played_on(engine: Engine) -> Played:
    with engine.store.read() as tx:
        moves = tx.rows(
            "SELECT t.task_id, h.old, h.new, h.try_number FROM ti_history h"
            " JOIN task_instance t ON t.id = h.ti_id ORDER BY h.seq"
        )
        reasons = dict(tx.rows("SELECT task_id, reason FROM task_instance"))
    return Played(engine.run_state(), engine.states(), [tuple(move) for move in moves], reasons)


class Timer:
    """A monotonic clock that moves when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def play_in_process(scenario: Scenario, parallelism: int = 1) -> Played:
    """The in-process runner with scripted attempts; its invariants are checked."""
    timer = Timer()
    options = Options(parallelism, scenario.pools, wait_for_retries=False, lease_seconds=10.0)
    clock = RunClock(FakeClock(datetime(2024, 1, 1, tzinfo=UTC)))
    runner = Runner(
        scenario.spec,
        options,
        clock,
        make_perform=lambda runner: _scripted(runner, scenario, timer),
        timer=timer,
    )
    runner.run()
    assert runner.stuck == []
    end = runner.store.snapshot()
    assert find_broken(end, scenario.pools) == []
    return Played(
        end.run_state,
        {row.task_id: row.state for row in end.rows},
        [(each.task_id, each.old, each.new, each.try_number) for each in end.history],
        {row.task_id: row.reason for row in end.rows},
    )


def _scripted(runner: Runner, scenario: Scenario, timer: Timer) -> Perform:
    starts: Counter[str] = Counter()
    turn = threading.Lock()

    def perform(claim: Claim, _ready: Ready) -> Outcome:
        with turn:
            starts[claim.task_id] += 1
            kind = scenario.kind(claim.task_id, starts[claim.task_id])
        if (
            kind == "lost"
        ):  # nobody names this attempt while its lease runs out; what it returns comes too late
            _lose(runner, claim, timer)
            kind = "success"
        if kind == "late":
            with runner.store.locked() as tables:
                deadline = tables.deadline
            assert deadline is not None
            runner.clock.leap_to(deadline)
            kind = "success"
        return outcome_of(runner.clock(), kind)

    return perform


def _lose(runner: Runner, claim: Claim, timer: Timer) -> None:
    others = {attempt.key for attempt in runner.store.snapshot().attempts if attempt.key != claim.key}
    timer.now += 9.0
    runner.execution.renew(others)
    timer.now += 2.0
    assert runner.execution.rescue() == [claim.key]
    runner.decider.step()


def outcome_of(now: datetime, kind: str) -> Outcome:
    """Return an outcome of this kind."""
    return Outcome(
        kind="failed" if kind == "fatal" else kind,  # type: ignore[arg-type]
        started_at=now,
        ended_at=now,
        error=None if kind == "success" else f"{kind} on purpose",
        retryable=kind != "fatal",
        xcoms=(("return_value", '"done"'),) if kind == "success" else (),
    )
