"""The past of a run: the run before it in the order of their dates, and what its tasks say; reads only."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from orch.domain.dagspec import DagSpec
from orch.domain.past import REPEATS, Past
from orch.domain.states import TaskState
from orch.store.reader import ReadTx, marks

_PART = 400


@dataclass(frozen=True, slots=True)
class FormerRun:
    """The run before another one."""

    run_pk: int
    dag_id: str
    run_id: str
    dag_version_id: int


def run_before(tx: ReadTx, run_pk: int) -> FormerRun | None:
    """Return the run of the same DAG whose date comes directly before that of this run, or None.

    The date is the logical date, else the time from which a run may begin; of equal dates the run made first goes
    first. Three kinds of runs do not count:

    - one that has ended and stands for the same date: this run repeats it;
    - one that was cancelled before it began;
    - a queued one for which its DAG has no room, or of the same backfill: it may wait for the place of this run. So
      the run before stays the ended one that a queued run repeats, and `promotion.repeats` finds it in the waiters.

    Walks ix_dag_run_order backwards.
    """
    rows = tx.rows(_RUN_BEFORE, (run_pk,))
    return FormerRun(*rows[0]) if rows else None


_RUN_BEFORE = f"""
SELECT b.id, b.dag_id, b.run_id, b.dag_version_id FROM dag_run r JOIN dag_run b ON b.dag_pk = r.dag_pk
WHERE r.id = ?1 AND COALESCE(b.logical_date, b.run_after) <= COALESCE(r.logical_date, r.run_after)
  AND (COALESCE(b.logical_date, b.run_after) < COALESCE(r.logical_date, r.run_after)
    OR b.id < r.id AND b.state IN ('queued', 'running'))
  AND NOT (b.state = 'cancelled' AND b.started_at IS NULL)
  AND (b.state <> 'queued' OR CASE WHEN b.run_type = 'backfill' THEN b.backfill_id IS NOT r.backfill_id ELSE
    COALESCE((SELECT l.size < 0 OR l.size > (SELECT COUNT(*) FROM dag_run a WHERE a.dag_pk = r.dag_pk
        AND a.state IN ('queued', 'running') AND a.state = 'running' AND a.run_type <> 'backfill'
        AND a.reason IS NOT '{REPEATS}')
      FROM limit_row l WHERE l.kind = 'dag_runs' AND l.name = r.dag_id), 1) END)
ORDER BY COALESCE(b.logical_date, b.run_after) DESC, b.id DESC LIMIT 1
"""


def pasts_of(
    tx: ReadTx,
    former: FormerRun | None,
    keys: Collection[tuple[str, int]],
    with_downstream: Collection[str],
    read_spec: Callable[[int], DagSpec],
) -> dict[tuple[str, int], Past]:
    """Return the past of each of these (task id, map index); `with_downstream` names the tasks that need more.

    Costs one indexed read per task asked for and per task downstream of one that needs more.
    """
    if former is None:
        return dict.fromkeys(keys, Past())
    below = _downstream(read_spec(former.dag_version_id), with_downstream) if with_downstream else {}
    wanted = {task_id for task_id, _ in keys}.union(*below.values())
    states = _states(tx, former.run_pk, wanted)
    return {
        (task_id, map_index): Past(
            states.get(task_id, {}).get(map_index),
            tuple(
                (name, state) for name in below.get(task_id, ()) for state in states.get(name, {}).values()
            ),
        )
        for task_id, map_index in keys
    }


def _downstream(spec: DagSpec, task_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return what is directly downstream of those of these tasks that the version has."""
    return {task_id: spec.graph.downstream(task_id) for task_id in task_ids if task_id in spec.by_id}


def _states(tx: ReadTx, run_pk: int, task_ids: Collection[str]) -> dict[str, dict[int, TaskState]]:
    """Return the states of the instances of these tasks, by task id and map index."""
    found: dict[str, dict[int, TaskState]] = {}
    names = sorted(task_ids)
    for start in range(0, len(names), _PART):
        part = names[start : start + _PART]
        for task_id, map_index, state in tx.rows(
            "SELECT task_id, map_index, state FROM task_instance"
            f" WHERE run_pk = ? AND task_id IN ({marks(part)}) ORDER BY id",
            (run_pk, *part),
        ):
            found.setdefault(task_id, {})[map_index] = TaskState(state)
    return found
