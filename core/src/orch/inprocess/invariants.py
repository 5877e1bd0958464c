"""The invariants of a run in memory, checked on a snapshot: the same that `orch db verify` checks in the database."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise

from orch.authoring.run_result import StateChange
from orch.domain.dagspec import DagSpec
from orch.domain.limits import UNLIMITED, LimitKey
from orch.domain.retries import retry_delay
from orch.domain.states import (
    ALLOWED,
    OCCUPYING,
    RUN_TERMINAL,
    RUN_TRANSITIONS,
    TERMINAL,
    Actor,
    RunState,
    TaskState,
)
from orch.domain.trigger_rules import TriggerRule, UpstreamCounts, Verdict, evaluate
from orch.inprocess.admission import limit_sizes, needs_of
from orch.inprocess.state_store import Snapshot

REPORTED = frozenset({TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED, TaskState.UP_FOR_RETRY})
KEEPS_THE_TRY = frozenset({TaskState.SCHEDULED, TaskState.UP_FOR_RESCHEDULE, TaskState.DEFERRED})


def find_broken(snapshot: Snapshot, pools: Mapping[str, int] | None = None) -> list[str]:
    """Return a sentence, with the number of the invariant, for each one that the snapshot breaks; none is right."""
    found = [sentence for check in CHECKS for sentence in check(snapshot)]
    return [*found, *limits_held(snapshot, pools or {})]


def history_is_gapless(snapshot: Snapshot) -> Iterable[str]:
    """I1: versions count from 1, each old state is the former new one, the last one is the row's."""
    histories = _histories(snapshot)
    for row in snapshot.rows:
        changes = histories[row.id]
        if [change.version for change in changes] != list(range(1, row.version + 1)):
            yield f"I1 {row.task_id}: versions {[change.version for change in changes]}, the row has {row.version}"
        states = [TaskState.NONE, *(change.new for change in changes)]
        if [change.old for change in changes] != states[:-1] or states[-1] is not row.state:
            yield f"I1 {row.task_id}: the states of its history do not follow each other"
    if [change.seq for change in snapshot.history] != list(range(1, len(snapshot.history) + 1)):
        yield "I1 the history has gaps"


def moves_are_in_the_table(snapshot: Snapshot) -> Iterable[str]:
    """I2: every (old, new, actor) is in the published table."""
    for change in snapshot.history:
        if (change.old, change.new, change.actor) not in ALLOWED:
            yield f"I2 {change.task_id}: {change.old} -> {change.new} by {change.actor}"
    for old, new, _ in snapshot.run_history:
        if new not in RUN_TRANSITIONS[old]:
            yield f"I2 run: {old} -> {new}"


def epochs_start_once(snapshot: Snapshot) -> Iterable[str]:
    """I3: one start per epoch; a second one in a try only after a move that keeps the try."""
    starts = Counter((c.task_id, c.epoch) for c in snapshot.history if c.new is TaskState.RUNNING)
    yield from (
        f"I3 {task_id}: epoch {epoch} was started {n} times"
        for (task_id, epoch), n in starts.items()
        if n > 1
    )
    per_try = Counter((c.task_id, c.try_number) for c in snapshot.history if c.new is TaskState.RUNNING)
    excuses = Counter(
        (c.task_id, c.try_number)
        for c in snapshot.history
        if c.old is TaskState.RUNNING and c.new in KEEPS_THE_TRY
    )
    for key, count in per_try.items():
        if count > 1 + excuses[key]:
            yield f"I3 {key[0]}: try {key[1]} has {count} starts but only {excuses[key]} excuses"


def tries_end_once(snapshot: Snapshot) -> Iterable[str]:
    """I4: at most one accepted outcome per try."""
    ends = Counter(
        (c.task_id, c.try_number) for c in snapshot.history if c.actor is Actor.WORKER and c.new in REPORTED
    )
    yield from (f"I4 {key[0]}: try {key[1]} has {count} outcomes" for key, count in ends.items() if count > 1)


def holders_end_what_they_started(snapshot: Snapshot) -> Iterable[str]:
    """I5: a reported end comes from the holder of the directly preceding start, in the same epoch."""
    for changes in _histories(snapshot).values():
        for before, end in pairwise(changes):
            start = (before.new, before.actor_id, before.epoch)
            is_report = end.actor is Actor.WORKER and end.old is TaskState.RUNNING
            if is_report and start != (TaskState.RUNNING, end.actor_id, end.epoch):
                yield f"I5 {end.task_id}: {end.actor_id} ended what {before.actor_id} had started"


def epochs_only_grow(snapshot: Snapshot) -> Iterable[str]:
    """I6: the epoch never falls, and no two attempts have the same nonce."""
    for changes in _histories(snapshot).values():
        epochs = [change.epoch for change in changes]
        if epochs != sorted(epochs):
            yield f"I6 {changes[0].task_id}: the epoch falls: {epochs}"
    if len({attempt.nonce for attempt in snapshot.attempts}) < len(snapshot.attempts):
        yield "I6 two attempts have the same nonce"


def ends_are_final(snapshot: Snapshot) -> Iterable[str]:
    """I7: only an operator moves what has ended."""
    for change in snapshot.history:
        if change.old in TERMINAL and change.actor is not Actor.OPERATOR:
            yield f"I7 {change.task_id}: left {change.old} by {change.actor}"


def trigger_rules_held(snapshot: Snapshot) -> Iterable[str]:
    """I8: when a task was scheduled, its rule held on the states of that moment (replayed)."""
    states: dict[str, TaskState] = {}
    for change in snapshot.history:
        task = snapshot.spec.by_id[change.task_id]
        if (change.old, change.new) == (TaskState.NONE, TaskState.SCHEDULED):
            counts = _counts(snapshot.spec, task.upstream, states)
            if evaluate(TriggerRule(task.trigger_rule), counts) is not Verdict.RUN:
                yield f"I8 {change.task_id} was scheduled before its rule held"
        states[change.task_id] = change.new


def limits_held(snapshot: Snapshot, pools: Mapping[str, int]) -> Iterable[str]:
    """I9, I10: at no moment of the history was a limit exceeded."""
    sizes = limit_sizes(snapshot.spec, pools)
    used: Counter[LimitKey] = Counter()
    for change in snapshot.history:
        sign = (change.new in OCCUPYING) - (change.old in OCCUPYING)
        for limit, amount in needs_of(snapshot.spec, snapshot.spec.by_id[change.task_id]):
            used[limit] += sign * amount
            if sign > 0 and UNLIMITED < sizes.get(limit, UNLIMITED) < used[limit]:
                yield f"I9 {limit}: {used[limit]} of {sizes[limit]} when {change.task_id} was {change.new}"


def attempts_fit_states(snapshot: Snapshot) -> Iterable[str]:
    """I12, I13: running has one open attempt of its epoch, every other state none."""
    open_ones = Counter(attempt.key for attempt in snapshot.attempts if attempt.outcome is None)
    wanted = Counter((row.id, row.epoch) for row in snapshot.rows if row.state is TaskState.RUNNING)
    if open_ones != wanted:
        yield f"I12 open attempts {sorted(open_ones)}, running {sorted(wanted)}"
    for row in snapshot.rows:
        if (row.due_at is not None) != (row.state is TaskState.UP_FOR_RETRY):
            yield f"I13 {row.task_id} is {row.state}, due {row.due_at}"


def run_state_is_derived(snapshot: Snapshot) -> Iterable[str]:
    """I14: the run has ended exactly when its tasks have, in the state that its leaves give."""
    open_ones = [row.task_id for row in snapshot.rows if row.state not in TERMINAL]
    if (snapshot.run_state in RUN_TERMINAL) == bool(open_ones):
        yield f"I14 the run is {snapshot.run_state}, open tasks: {open_ones}"
    early = any(reason for _, _, reason in snapshot.run_history)
    if snapshot.run_state in RUN_TERMINAL and not early and snapshot.run_state is not _derived(snapshot):
        yield f"I14 the run is {snapshot.run_state}, its leaves say {_derived(snapshot)}"


def tries_are_bounded(snapshot: Snapshot) -> Iterable[str]:
    """I17: no more tries than allowed, each with a start."""
    histories = _histories(snapshot)
    for row in snapshot.rows:
        started = {c.try_number for c in histories[row.id] if c.new is TaskState.RUNNING}
        if started != set(range(1, row.try_number + 1)) or row.try_number > row.max_tries:
            yield f"I17 {row.task_id}: try {row.try_number} of {row.max_tries}, started {sorted(started)}"


def retries_wait(snapshot: Snapshot) -> Iterable[str]:
    """I18: a retry is scheduled no earlier than its delay after the failure, on the run's clock."""
    for changes in _histories(snapshot).values():
        for failed, again in pairwise(changes):
            if (failed.new, again.new) != (TaskState.UP_FOR_RETRY, TaskState.SCHEDULED):
                continue
            retry = snapshot.spec.by_id[failed.task_id].retry
            if again.at < failed.at + retry_delay(retry, failed.try_number):
                yield f"I18 {failed.task_id}: try {failed.try_number + 1} came too early"


def results_are_of_accepted_attempts(snapshot: Snapshot) -> Iterable[str]:
    """I19: only tasks that ended by a report have handed anything over."""
    ended = {row.task_id for row in snapshot.rows if row.state in REPORTED}
    yield from (
        f"I19 {task_id} has an XCom and no accepted end"
        for task_id, _ in snapshot.xcoms
        if task_id not in ended
    )


CHECKS: tuple[Callable[[Snapshot], Iterable[str]], ...] = (
    history_is_gapless,
    moves_are_in_the_table,
    epochs_start_once,
    tries_end_once,
    holders_end_what_they_started,
    epochs_only_grow,
    ends_are_final,
    trigger_rules_held,
    attempts_fit_states,
    run_state_is_derived,
    tries_are_bounded,
    retries_wait,
    results_are_of_accepted_attempts,
)


def _histories(snapshot: Snapshot) -> dict[int, list[StateChange]]:
    found: dict[int, list[StateChange]] = {row.id: [] for row in snapshot.rows}
    for change in snapshot.history:
        found[change.ti_id].append(change)
    return found


def _counts(spec: DagSpec, upstream: Iterable[str], states: Mapping[str, TaskState]) -> UpstreamCounts:
    counts = UpstreamCounts()
    for task_id in upstream:
        is_setup = spec.by_id[task_id].is_setup
        counts.total += 1
        counts.setup_total += is_setup
        if (state := states.get(task_id, TaskState.NONE)) in TERMINAL:
            counts.add(state, is_setup=is_setup)
    return counts


def _derived(snapshot: Snapshot) -> RunState:
    """Derive the state apart from `domain.decide`, so that a mistake there shows."""
    has_downstream = {task_id for task in snapshot.spec.tasks for task_id in task.upstream}
    leaves = {row.state for row in snapshot.rows if row.task_id not in has_downstream}
    if leaves & {TaskState.FAILED, TaskState.UPSTREAM_FAILED}:
        return RunState.FAILED
    return RunState.CANCELLED if TaskState.CANCELLED in leaves else RunState.SUCCESS
