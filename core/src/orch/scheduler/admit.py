"""Admission: scheduled task instances get their slots and become queued, with a new epoch and a dispatch row (T2)."""

from dataclasses import replace

from orch.domain.limits import Candidate, LimitKey, admit, free_slots
from orch.domain.states import TaskState
from orch.scheduler.context import Changes, SchedulerContext
from orch.store.engine import Tx
from orch.store.queries import attempts, limits, runs
from orch.store.queries.attempts import DispatchRow
from orch.store.queries.transitions import TaskMove, move_tasks


def admit_waiting(context: SchedulerContext, tx: Tx, changes: Changes) -> int:
    """Queue what fits; return how many. Cost does not depend on how many stay blocked."""
    groups = limits.waiting_groups(tx, context.scope)
    if not groups:
        return 0
    sizes = limits.sizes(tx)
    free = free_slots(sizes, limits.used(tx))
    # a pool that does not exist has no slots: no task runs without the limit that it names
    free |= {("pool", pool): 0 for _, _, pool, _ in groups if ("pool", pool) not in sizes}
    batch = context.settings.scheduler.batch
    candidates, saturated = _candidates(tx, groups, sizes, free, batch)
    admission = admit(candidates, free, batch)
    looked_at = None if context.scope is None else {key for group in groups for key in _keys(group)}
    limits.mark_saturated(tx, saturated | admission.saturated, looked_at)
    return _queue(context, tx, admission.admitted, changes)


def _keys(group: tuple[int, str, str, str]) -> tuple[LimitKey, LimitKey, LimitKey]:
    """Return the limits that a group is counted in."""
    _, dag_id, pool, executor = group
    return ("pool", pool), ("dag_tasks", dag_id), ("executor", executor)


def _candidates(
    tx: Tx,
    groups: list[tuple[int, str, str, str]],
    sizes: dict[LimitKey, int],
    free: dict[LimitKey, int],
    batch: int,
) -> tuple[list[list[Candidate]], set[LimitKey]]:
    """Read per group no more than could fit, so that a group without room costs one look at its limits."""
    found: list[list[Candidate]] = []
    saturated: set[LimitKey] = set()
    for group in groups:
        keys = _keys(group)
        full = [key for key in keys if free.get(key, 1) <= 0]
        saturated.update(full)
        if not full:
            room = min([batch, *(free[key] for key in keys if key in free)])
            found.append(limits.candidates(tx, group, room + 1, sizes[keys[0]]))
    return found, saturated


def _queue(context: SchedulerContext, tx: Tx, admitted: list[Candidate], changes: Changes) -> int:
    wanted = {candidate.ti_id: candidate for candidate in admitted}
    rows = [row for row in runs.task_rows(tx, list(wanted)) if row.state is TaskState.SCHEDULED]
    moves = [
        TaskMove(row, replace(row, state=TaskState.QUEUED, epoch=row.epoch + 1, reason="awaiting_worker"))
        for row in rows
    ]
    won = move_tasks(tx, moves, context.by)
    names = runs.names_of_runs(tx, {row.run_pk for row in won})
    before = {row.id: row for row in rows}
    queues = runs.queues_of(tx, [row.id for row in won])
    attempts.dispatch(
        tx,
        [
            (row.id, row.epoch, row.run_pk, wanted[row.id].executor, queues[row.id], wanted[row.id].priority)
            for row in won
        ],
    )
    for row in won:
        changes.queued.append(DispatchRow(row.id, row.epoch, wanted[row.id].executor, queues[row.id]))
        changes.add_task(names[row.run_pk], before[row.id], row, tx.now)
    return len(won)
