"""Past roots: what is at the beginning of a row of runs whose tasks each wait for the run before."""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from orch.domain.dagspec import DagSpec
from orch.domain.past import PASSED, Hold
from orch.domain.states import TERMINAL, TaskState
from orch.store.queries.pasts import FormerRun
from orch.store.queries.reading import RunRow, run_by_pk, spec_of
from orch.store.queries.reading_tasks import TaskInstanceRow, list_task_instances
from orch.store.queries.waiting import RunFacts, holds_of
from orch.store.reader import ReadTx

MOST_RUNS = 100
"""So many runs are gone back, at most."""


@dataclass(frozen=True, slots=True)
class PastRoot:
    """The earliest run that is known to hold back the others, and one of its tasks."""

    run: RunRow
    task_id: str
    state: str
    """Of the task."""

    @property
    def has_ended(self) -> bool:
        """True when waiting does not help: the task has ended and did not succeed."""
        return self.state in TERMINAL

    @property
    def date(self) -> datetime:
        """The date whose run, made again, takes the place of this one."""
        return self.run.logical_date or self.run.run_after


def root_of(tx: ReadTx, facts: RunFacts, task: TaskInstanceRow) -> PastRoot | None:
    """Return what in the end holds back a task that waits for the run before; None when nothing does.

    Goes back from run to run while what blocks there is itself held by the run before.
    """
    former: FormerRun | None = facts.former
    hold: Hold | None = facts.holds.get(task.ti_id)
    root = None
    for _ in range(MOST_RUNS):
        if former is None or hold is None:
            break
        run = run_by_pk(tx, former.run_pk)
        spec = spec_of(tx, run.dag_version_id)
        tasks = list_task_instances(tx, run.run_pk)
        root = _culprit(run, spec, tasks, hold.blocking)
        if root is None or root.has_ended:
            break
        former, holds = holds_of(tx, run, spec, tasks)
        line = _with_ancestors(spec, hold.blocking)
        hold = next((holds[row.ti_id] for row in tasks if row.ti_id in holds and row.task_id in line), None)
    return root


def _culprit(
    run: RunRow, spec: DagSpec, tasks: Sequence[TaskInstanceRow], blocking: Collection[str]
) -> PastRoot | None:
    """Of the tasks that block, one that has ended badly, and for that the failed one before it; else an open one."""
    blockers = [row for row in tasks if row.task_id in blocking and row.state not in PASSED]
    ended = [row for row in blockers if row.state in TERMINAL]
    line = _with_ancestors(spec, [row.task_id for row in ended])
    failed = [row for row in tasks if row.task_id in line and row.state == TaskState.FAILED]
    chosen = next(iter([*failed, *ended, *blockers]), None)
    return None if chosen is None else PastRoot(run, chosen.task_id, chosen.state)


def _with_ancestors(spec: DagSpec, task_ids: Iterable[str]) -> set[str]:
    found: set[str] = set()
    todo = deque(task_ids)
    while todo:
        task_id = todo.popleft()
        if task_id not in found:
            found.add(task_id)
            todo += spec.by_id[task_id].upstream if task_id in spec.by_id else ()
    return found
