"""What depends_on_past and wait_for_downstream promise, replayed: I24."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orch.domain.dagspec import DagSpec
from orch.domain.past import PASSED, needs_past
from orch.domain.states import TaskState
from orch.store.engine import Tx
from orch.store.queries import runs
from orch.store.verify.findings import Finding


@dataclass(frozen=True, slots=True)
class _Run:
    """One run in the order of the dates of its DAG."""

    order: tuple[int, int]
    run_id: str
    version_id: int
    backfill_id: int | None
    is_backfill: bool
    created_at: int
    started_at: int | None
    ended_at: int | None

    @property
    def run_pk(self) -> int:
        return self.order[1]

    def was_queued(self, at: int) -> bool:
        return self.started_at is None or self.started_at > at

    def counts(self, run: "_Run", at: int) -> bool:
        """Return whether this run was there, and no forerunner for the same date or cancelled before it began."""
        had_ended = self.ended_at is not None and self.ended_at <= at
        repeated = self.order[0] == run.order[0]
        return self.created_at < at and not (had_ended and (repeated or self.started_at is None))

    def was_active(self, at: int) -> bool:
        return not self.was_queued(at) and (self.ended_at is None or self.ended_at >= at)


_States = Mapping[tuple[int, str], Mapping[int, TaskState]]
"""(run, task id) -> map index -> state at the point of history that is being looked at."""


def pasts_held(tx: Tx) -> Iterable[Finding]:
    """I24: whenever a task that depends on the past was scheduled, the run before, as it was then, allowed it.

    Reads nothing but the versions' text of DAGs without such tasks.
    """
    rows = tx.rows(
        "SELECT DISTINCT dag_pk FROM dag_version WHERE structure LIKE '%\"depends_on_past\":true%'"
        " OR structure LIKE '%\"wait_for_downstream\":true%'"
    )
    for (dag_pk,) in rows:
        yield from _DagHistory(tx, dag_pk).findings(tx)


class _DagHistory:
    """The runs and versions of one DAG, to replay its history against."""

    def __init__(self, tx: Tx, dag_pk: int) -> None:
        self._dag_pk = dag_pk
        rows = tx.rows(
            "SELECT COALESCE(logical_date, run_after), id, run_id, dag_version_id, backfill_id,"
            " run_type = 'backfill', created_at, started_at, ended_at FROM dag_run WHERE dag_pk = ? ORDER BY 1, 2",
            (dag_pk,),
        )
        self._runs = [_Run((date, run_pk), *rest) for date, run_pk, *rest in rows]
        self._orders = [run.order for run in self._runs]
        self._of = {run.run_pk: run for run in self._runs}
        self._specs = {
            version_id: runs.spec_of_version(tx, version_id)
            for version_id in {run.version_id for run in self._runs}
        }
        ((self._least_room,),) = tx.rows(
            "SELECT MIN(h.size) FROM limit_history h JOIN dag d ON d.dag_id = h.name AND d.id = ?"
            " WHERE h.kind = 'dag_runs' AND h.size >= 0",
            (dag_pk,),
        )

    def findings(self, tx: Tx) -> Iterator[Finding]:
        """Replay all moves of the DAG's task instances in the order in which they were made."""
        states: dict[tuple[int, str], dict[int, TaskState]] = {}
        for run_pk, task_id, map_index in tx.rows(
            "SELECT run_pk, task_id, map_index FROM task_instance WHERE dag_pk = ?", (self._dag_pk,)
        ):
            states.setdefault((run_pk, task_id), {})[map_index] = TaskState.NONE
        for run_pk, task_id, map_index, old, new, at in tx.rows(
            "SELECT t.run_pk, t.task_id, t.map_index, h.old, h.new, h.at FROM ti_history h"
            " JOIN task_instance t ON t.id = h.ti_id WHERE t.dag_pk = ? ORDER BY h.seq",
            (self._dag_pk,),
        ):
            if (old, new) == (TaskState.NONE, TaskState.SCHEDULED):
                run = self._of.get(run_pk)
                if run is None:
                    continue  # I1 names task instances without a run
                if (words := self._broken(run, task_id, map_index, at, states)) is not None:
                    yield Finding(
                        "I24", f"run {run.run_id}: {task_id} was scheduled while {words}", (run_pk, task_id)
                    )
            states[run_pk, task_id][map_index] = TaskState(new)

    def _broken(self, run: _Run, task_id: str, map_index: int, at: int, states: _States) -> str | None:
        """Return what should have held this task instance back at that time; None when nothing should have."""
        task = self._specs[run.version_id].by_id.get(task_id)
        if task is None or not needs_past(task):
            return None
        former = self._before(run, at)
        if former is None:
            return None
        wanted = {task_id: [states.get((former.run_pk, task_id), {}).get(map_index)]}
        if task.wait_for_downstream:
            for name in _downstream(self._specs[former.version_id], task_id):
                wanted[name] = list(states.get((former.run_pk, name), {}).values())
        for name, found in wanted.items():
            for state in found:
                if state is not None and state not in PASSED:
                    return f"{name} of the run before, {former.run_id}, was {state}"
        return None

    def _before(self, run: _Run, at: int) -> _Run | None:
        """Return the run before this one as of then. One that waited for a place, or its turn, did not count."""
        for former in reversed(self._runs[: bisect_left(self._orders, run.order)]):
            if former.counts(run, at) and not (
                former.was_queued(at) and self._may_be_passed(former, run, at)
            ):
                return former
        return None

    def _may_be_passed(self, former: _Run, run: _Run, at: int) -> bool:
        if former.is_backfill:
            return former.backfill_id == run.backfill_id
        if self._least_room is None:
            return False
        active = sum(other.was_active(at) for other in self._runs if not other.is_backfill)
        return active >= int(self._least_room)


def _downstream(spec: DagSpec, task_id: str) -> Sequence[str]:
    return spec.graph.downstream(task_id) if task_id in spec.by_id else ()
