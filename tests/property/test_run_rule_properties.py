"""Run rules on random DAGs: views that are kept agree with a recomputation, and histories keep their promises."""

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.harness import Engine

from orch.domain.dagspec import DagSpec, RetrySpec, TaskSpec
from orch.domain.decide import FAILED_FAST, Decision, decide
from orch.domain.past import Past, hold_of
from orch.domain.run_view import TIMED_OUT, RunView, TaskFacts
from orch.domain.states import OPEN, TERMINAL, TaskState
from orch.domain.trigger_rules import TriggerRule, UpstreamCounts, Verdict, evaluate

NOW = datetime(2024, 1, 1, tzinfo=UTC)
DEADLINE = NOW + timedelta(hours=1)
FRESH = (TaskState.NONE, TaskState.SCHEDULED)


@st.composite
def specs(draw: st.DrawFn, *, only_success: bool = False) -> DagSpec:
    """Random DAGs of up to eight tasks with random flags; rules that some success satisfies when asked for."""
    rules = (
        ["all_success", "all_done", "none_failed"] if only_success else [str(rule) for rule in TriggerRule]
    )
    tasks: list[TaskSpec] = []
    for number in range(draw(st.integers(1, 8))):
        upstream = [task.task_id for task in tasks if draw(st.integers(0, 2)) == 0]
        deep = draw(st.booleans())
        tasks.append(
            TaskSpec(
                f"t{number}",
                "Test",
                tuple(upstream),
                trigger_rule=draw(st.sampled_from(rules)),
                depends_on_past=deep or draw(st.booleans()),
                wait_for_downstream=deep,
                is_teardown=draw(st.integers(0, 5)) == 0,
                retry=RetrySpec(draw(st.integers(0, 1)), delay_seconds=1),
            )
        )
    return DagSpec("d", tuple(tasks), fail_fast=draw(st.booleans()))


def naive(spec: DagSpec, states: dict[str, TaskState], pasts: dict[str, Past], *, late: bool) -> None:
    """Bring the states to where they must stand, looking at everything again and again."""
    failed = any(states[t.task_id] is TaskState.FAILED and not t.is_teardown for t in spec.tasks)
    for task in spec.tasks:
        state = states[task.task_id]
        if state in OPEN and (late or (spec.fail_fast and failed and not task.is_teardown)):
            states[task.task_id] = TaskState.SKIPPED if state in FRESH else TaskState.CANCELLED
    moved = True
    while moved:
        moved = False
        for task in spec.tasks:
            if (
                states[task.task_id] is TaskState.NONE
                and (new := naive_move(task, states, pasts)) is not None
            ):
                states[task.task_id] = new
                moved = True


def naive_move(task: TaskSpec, states: dict[str, TaskState], pasts: dict[str, Past]) -> TaskState | None:
    counts = UpstreamCounts(total=len(task.upstream))
    for upstream in task.upstream:
        if states[upstream] in TERMINAL:
            counts.add(states[upstream])
    verdict = evaluate(TriggerRule(task.trigger_rule), counts)
    if verdict is Verdict.RUN:
        return TaskState.SCHEDULED if hold_of(task, pasts[task.task_id]) is None else None
    return {Verdict.SKIP: TaskState.SKIPPED, Verdict.UPSTREAM_FAILED: TaskState.UPSTREAM_FAILED}.get(verdict)


def decided(view: RunView, pasts: dict[str, Past], now: datetime, batch: int) -> Decision:
    """Decide as an evaluator does, batch after batch, telling the view of the past what it asks for."""
    whole = Decision()
    while True:
        decision = decide(view, now, batch=batch)
        while decision.asks:
            for position in sorted(decision.asks):
                view.tell_past(position, pasts[view.tasks[position].facts.task_id])
            decision.join(decide(view, now, batch=batch))
        whole.join(decision)
        if decision.run_state is not None or decision.due_at != now:
            return whole


@given(spec=specs(), seed=st.integers(0, 2**32), batch=st.integers(1, 9))
@settings(max_examples=300, deadline=None)
def test_a_view_that_is_kept_agrees_with_a_recomputation_of_everything(
    spec: DagSpec, seed: int, batch: int
) -> None:
    source = random.Random(seed)
    states = {task.task_id: TaskState.NONE for task in spec.tasks}
    pasts = {task.task_id: random_past(source) for task in spec.tasks}
    view = RunView(1, 1, spec, facts_of(spec, states), DEADLINE)
    for _ in range(40):
        late = source.random() < 0.03
        decision = decided(view, pasts, DEADLINE if late else NOW, batch)
        naive(spec, states, pasts, late=late)
        assert {task.facts.task_id: task.facts.state for task in view.tasks} == states
        assert (decision.run_state is not None) == all(state in TERMINAL for state in states.values())
        if decision.run_state is not None:
            assert decision.run_reason in (None, TIMED_OUT, FAILED_FAST)
            return
        if source.random() < 0.1:
            view = RunView(1, 1, spec, facts_of(spec, states), DEADLINE)
        happen(source, view, states, pasts)


def facts_of(spec: DagSpec, states: dict[str, TaskState]) -> list[TaskFacts]:
    return [TaskFacts(n, task.task_id, -1, states[task.task_id]) for n, task in enumerate(spec.tasks)]


def random_past(source: random.Random) -> Past:
    states = [*TaskState, *[TaskState.SUCCESS] * 12]
    own = source.choice([None, *states])
    return Past(own, tuple((name, source.choice(states)) for name in "xy"[: source.randint(0, 2)]))


def happen(
    source: random.Random, view: RunView, states: dict[str, TaskState], pasts: dict[str, Past]
) -> None:
    """Let a task run or end, or the past of one change; the view is told as by a wake-up."""
    position = source.randrange(len(view.tasks))
    facts = view.tasks[position].facts
    state = states[facts.task_id]
    if state is TaskState.NONE:
        pasts[facts.task_id] = random_past(source)
    elif state in (TaskState.SCHEDULED, TaskState.RUNNING):
        ends = [TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED]
        states[facts.task_id] = source.choice(
            [TaskState.RUNNING, *ends] if state is TaskState.SCHEDULED else ends
        )
    assert view.observe(replace(facts, state=states[facts.task_id], has_begun=False))


@contextmanager
def new_engine() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine.create(Path(folder) / "home")
        try:
            yield engine
        finally:
            engine.store.close()


@given(spec=specs(), seed=st.integers(0, 2**32), timeout=st.sampled_from([None, 8.0, 30.0]))
@settings(max_examples=25, deadline=None)
def test_histories_of_several_runs_keep_every_promise_whatever_happens_in_whatever_order(
    spec: DagSpec, seed: int, timeout: float | None
) -> None:
    with new_engine() as engine:
        play(engine, replace(spec, dagrun_timeout_seconds=timeout), random.Random(seed), fails=True)
        engine.check()


@given(spec=specs(only_success=True), seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_when_everything_succeeds_every_run_reaches_its_end_in_the_order_of_the_dates(
    spec: DagSpec, seed: int
) -> None:
    with new_engine() as engine:
        dates = play(engine, spec, random.Random(seed), fails=False)
        assert {engine.run_state(name) for name in dates} == {"success"}
        engine.check()


def play(engine: Engine, spec: DagSpec, source: random.Random, *, fails: bool) -> list[str]:
    """Make runs of random dates at random moments and let random things happen; return their names."""
    engine.add_dag(replace(spec, max_active_runs=source.choice([1, 2, 5])))
    names: list[str] = []
    for step in range(400):
        if len(names) < 5 and source.random() < 0.2:
            names.append(f"run{step}")
            date = NOW + timedelta(days=source.randint(0, 3)) if source.random() < 0.7 else None
            engine.trigger("d", names[-1], logical_date=date)
        something(engine, source, fails=fails)
        engine.clock.advance(seconds=source.choice([0.1, 0.5, 2.0]))
    if not fails:
        for _ in range(8):  # what fell between waits for its next look
            engine.run()
            engine.clock.advance(seconds=11)
    return names


def something(engine: Engine, source: random.Random, *, fails: bool) -> None:
    choice = source.random()
    if choice < 0.6:
        engine.scheduler.run_once()
        return
    claimed = engine.execution.claim(engine.worker, ["LocalExecutor"], source.randint(1, 3))
    source.shuffle(claimed)
    for one in claimed:
        key = (one.ti_id, one.epoch, one.nonce)
        if source.random() < 0.2:
            engine.execution.hand_back(engine.worker, [key])
        elif fails and source.random() < 0.1:
            engine.execution.lost(engine.worker, [key])
        else:
            if fails and source.random() < 0.3:
                engine.clock.advance(seconds=9)
                engine.scheduler.run_once()
            kind = source.choice(["success", "failed", "skipped", "fatal"]) if fails else "success"
            engine.execution.report(engine.worker, [engine.report_of(one, kind)])
