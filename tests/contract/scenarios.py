"""Scenarios: a DAG and what each try of its tasks does, with the end that every runner must come to."""

import random
from dataclasses import dataclass, field, replace

from orch.domain.dagspec import DagSpec, RetrySpec, TaskSpec
from orch.domain.trigger_rules import TriggerRule

Kind = str
"""success, failed, skipped, fatal (failed for good), lost (whoever runs it disappears and reports too late), or late
(a success after the run's time is over)."""


@dataclass(frozen=True)
class Scenario:
    """`script` has the kinds of a task's starts, one after the other; the last one repeats, none is success."""

    name: str
    spec: DagSpec
    script: dict[str, tuple[Kind, ...]] = field(default_factory=dict)
    run_state: str | None = None
    states: dict[str, str] = field(default_factory=dict)
    """Ends to be asserted beside the comparison."""
    pools: dict[str, int] = field(default_factory=dict)
    is_confluent: bool = True
    """Whether the end is the same in whatever order tasks that run at once may end."""

    def kind(self, task_id: str, start: int) -> Kind:
        """Return what start number `start` (1 = the first) of a task does."""
        kinds = self.script.get(task_id, ("success",))
        return kinds[min(start, len(kinds)) - 1]

    def __str__(self) -> str:
        return self.name


def dag_of(
    edges: dict[str, str], *, retries: dict[str, int] | None = None, rules: dict[str, str] | None = None,
    tasks: dict[str, dict[str, object]] | None = None, **dag_values: object,
) -> DagSpec:  # fmt: skip
    """`{"a": "", "b": "a"}` is a -> b; several upstreams are separated by spaces."""
    made = tuple(
        TaskSpec(
            name,
            "Test",
            tuple(upstream.split()),
            trigger_rule=(rules or {}).get(name, "all_success"),
            retry=RetrySpec(retries=(retries or {}).get(name, 0), delay_seconds=60.0, multiplier=2.0),
            **(tasks or {}).get(name, {}),  # type: ignore[arg-type]
        )
        for name, upstream in edges.items()
    )
    return DagSpec("scenario", made, **dag_values)  # type: ignore[arg-type]


CHAIN = {"a": "", "b": "a", "c": "b"}
DIAMOND = {"a": "", "b": "a", "c": "a", "d": "b c"}
FAN = {"first": "", **{f"t{n}": "first" for n in range(8)}, "last": " ".join(f"t{n}" for n in range(8))}

SCENARIOS = (
    Scenario("chain", dag_of(CHAIN), run_state="success"),
    Scenario("nothing to do", dag_of({}), run_state="success"),
    Scenario(
        "a failure goes downstream",
        dag_of(DIAMOND),
        {"b": ("failed",)},
        "failed",
        {"c": "success", "d": "upstream_failed"},
    ),
    Scenario("a retry succeeds", dag_of(CHAIN, retries={"b": 2}), {"b": ("failed", "failed", "success")}, "success"),
    Scenario("tries are used up", dag_of(CHAIN, retries={"b": 1}), {"b": ("failed",)}, "failed", {"b": "failed"}),
    Scenario("a fatal failure is not retried", dag_of(CHAIN, retries={"a": 3}), {"a": ("fatal",)}, "failed"),
    Scenario("a skip goes downstream", dag_of(DIAMOND), {"a": ("skipped",)}, "success", {"d": "skipped"}),
    Scenario(
        "clean-up and alarm",
        dag_of(
            {**DIAMOND, "tidy": "d", "alarm": "b c", "calm": "b c"},
            rules={"tidy": "all_done", "alarm": "one_failed", "calm": "none_failed"},
        ),
        {"c": ("failed",)},
        "failed",
        {"tidy": "success", "alarm": "success", "calm": "upstream_failed"},
    ),
    Scenario("fan", dag_of(FAN), run_state="success"),
    Scenario("one task of the DAG at a time", dag_of(FAN, max_active_tasks=1), run_state="success"),
    Scenario(
        "a pool of two, wide tasks",
        dag_of(FAN, tasks={f"t{n}": {"pool": "db", "pool_slots": 1 + n % 2} for n in range(8)}),
        run_state="success",
        pools={"db": 2},
    ),
    Scenario(
        "priorities",
        dag_of(FAN, tasks={f"t{n}": {"priority_weight": 1 + n} for n in range(8)}, max_active_tasks=2),
        run_state="success",
    ),
    Scenario(
        "the past of a first run",
        dag_of(CHAIN, tasks={"b": {"depends_on_past": True}, "c": {"depends_on_past": True}}),
        run_state="success",
    ),
    Scenario("lost once", dag_of(CHAIN), {"b": ("lost", "success")}, "success"),
    Scenario("lost too often", dag_of(CHAIN), {"b": ("lost",)}, "failed", {"b": "failed", "c": "upstream_failed"}),
    Scenario(
        "lost between two tries",
        dag_of(CHAIN, retries={"b": 1}),
        {"b": ("failed", "lost", "success")},
        "success",
    ),
    Scenario(
        "the first failure ends the run",
        dag_of({**CHAIN, "d": "", "e": "d"}, retries={"b": 1}, fail_fast=True),
        {"d": ("failed",)},
        "failed",
        is_confluent=False,
    ),
    Scenario(
        "the first failure ends those that wait for slots",
        dag_of({"a": "", "b": "", "c": "b"}, max_active_tasks=1, fail_fast=True),
        {"a": ("failed",)},
        "failed",
        {"b": "skipped", "c": "skipped"},
        is_confluent=False,
    ),
    Scenario(
        "the run is out of time while a retry waits",
        dag_of(CHAIN, retries={"b": 3}, dagrun_timeout_seconds=90.0),
        {"b": ("failed",)},
        "failed",
        {"b": "cancelled", "c": "skipped"},
    ),
    Scenario(
        "the run is out of time while a task runs",
        dag_of(CHAIN, retries={"b": 3}, dagrun_timeout_seconds=90.0),
        {"b": ("late",)},
        "failed",
        {"b": "cancelled", "c": "skipped"},
    ),
    Scenario(
        "the run is out of time while its last task runs",
        dag_of(CHAIN, dagrun_timeout_seconds=90.0),
        {"c": ("late",)},
        "failed",
        {"b": "success", "c": "cancelled"},
    ),
)  # fmt: skip


def random_scenario(seed: int, size: int) -> Scenario:
    """A random DAG with random rules, retries and outcomes; the seed is all there is to know.

    `all_success` alone depends on the order of ends: a failed and a skipped upstream give what comes first.
    """
    source = random.Random(seed)
    rules = list(TriggerRule)
    tasks, script = [], {}
    for number in range(size):
        name = f"t{number}"
        upstream = tuple(f"t{n}" for n in range(number) if source.random() < 2.5 / size)
        retry = RetrySpec(retries=source.choice((0, 0, 1, 2)), delay_seconds=source.choice((0.0, 1.0, 60.0)))
        weight = source.choice((1, 1, 2, 5))
        rule = source.choice(rules)
        tasks.append(TaskSpec(name, "Test", upstream, trigger_rule=rule, retry=retry, priority_weight=weight))
        script[name] = tuple(source.choices(("success", "failed", "skipped", "fatal"), (6, 3, 1, 1), k=3))
    limit = source.choice((None, 1, 3))
    spec = DagSpec(f"random_{seed}", tuple(tasks), max_active_tasks=limit)
    return Scenario(f"seed {seed}, {size} tasks", spec, script, is_confluent=False)


def made_confluent(scenario: Scenario) -> Scenario:
    """The same without the one rule whose verdict depends on the order of ends."""
    tasks = tuple(
        replace(task, trigger_rule="none_failed") if task.trigger_rule == "all_success" else task
        for task in scenario.spec.tasks
    )
    spec = replace(scenario.spec, tasks=tasks)
    return replace(scenario, name=f"{scenario.name}, confluent", spec=spec, is_confluent=True)
