"""Admission: which scheduled task instances get their slots now, by the same arithmetic as in the database."""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from orch.clock import Clock, to_micros
from orch.domain.admission import Candidate, Group, Order, admit
from orch.domain.ageing import DEFAULT_AGEING_SECONDS
from orch.domain.dagspec import DagSpec, TaskSpec
from orch.domain.limits import UNLIMITED, Lane, LimitKey, free_slots, run_task_limit, task_limit
from orch.domain.states import TaskState
from orch.errors import BadInput
from orch.inprocess import protocol
from orch.inprocess.rows import Instance, Move, priority_of
from orch.inprocess.tables import Tables

DEFAULT_POOL_SLOTS = 128
"""As `core.default_pool_slots`; other pools are unlimited unless the caller gives them a size."""
RUN = 1
"""The only run there is."""


class Admission:
    """The queues of what waits for slots: one for each pool and lane, so that nobody holds up the others."""

    def __init__(self, spec: DagSpec, pools: Mapping[str, int], clock: Clock) -> None:
        self._spec = spec
        self._clock = clock
        self._sizes = limit_sizes(spec, pools)
        self._lanes = {task.task_id: _lane_of(task) for task in spec.tasks}
        self._shares: list[tuple[tuple[LimitKey, int], ...]] = []
        """What task instances take of the limits, each different share once."""
        self._share_of: dict[int, int] = {}
        """Index of its share, by id of a task instance."""
        self._queues: dict[tuple[str, Lane], list[Candidate]] = {}
        """Heaps; an entry whose task instance is scheduled no more is passed over."""

    def add(self, row: Instance) -> None:
        """Take in a task instance that has become scheduled."""
        task, since = self._spec.by_id[row.task_id], to_micros(row.since)
        queue = self._queues.setdefault((task.pool, self._lanes[row.task_id]), [])
        heapq.heappush(queue, Candidate(since - row.head_start, row.id, since, priority_of(task)))
        if row.id not in self._share_of:
            self._share_of[row.id] = self._index_of(tuple(needs_of(self._spec, task)))

    def admit(self, tables: Tables) -> int:
        """Queue what fits, in the order of turns; return how many. Counting and queueing are one step."""
        if not any(self._queues.values()):
            return 0
        free = free_slots(self._sizes, self._used(tables))
        read: list[tuple[list[Candidate], Candidate]] = []
        groups = [
            Group(self._spec.dag_id, pool, "", self._take(tables, queue, read), lane.slots, self._own_limits(lane))
            for (pool, lane), queue in self._queues.items()
            if queue and free.get(("pool", pool), 1) > 0
        ]  # fmt: skip
        now = self._clock()
        order = Order(to_micros(now), DEFAULT_AGEING_SECONDS)
        result = admit(groups, free, order, len(tables.rows))
        admitted = {candidate.ti_id for _, candidate in result.admitted}
        for queue, candidate in read:
            if candidate.ti_id not in admitted:
                heapq.heappush(queue, candidate)
        rows = [tables.rows[candidate.ti_id] for _, candidate in result.admitted]
        return len(tables.move([Move(row, protocol.queued(row)) for row in rows], protocol.SCHEDULER, now))

    def _take(
        self, tables: Tables, queue: list[Candidate], read: list[tuple[list[Candidate], Candidate]]
    ) -> Iterator[Candidate]:
        """Yield by rank what is scheduled, as far as it is asked for; note it in `read`."""
        while queue:
            candidate = heapq.heappop(queue)
            if tables.rows[candidate.ti_id].state is TaskState.SCHEDULED:
                read.append((queue, candidate))
                yield candidate

    def _used(self, tables: Tables) -> dict[LimitKey, int]:
        """Count what is taken, from states; the states lock makes it safe to act on."""
        used: Counter[LimitKey] = Counter()
        for index, count in Counter(map(self._share_of.__getitem__, tables.occupying)).items():
            for limit, amount in self._shares[index]:
                used[limit] += count * amount
        return used

    def _index_of(self, share: tuple[tuple[LimitKey, int], ...]) -> int:
        if share not in self._shares:
            self._shares.append(share)
        return self._shares.index(share)

    def _own_limits(self, lane: Lane) -> tuple[LimitKey, ...]:
        return lane.own_limits(self._spec.dag_id)


def needs_of(spec: DagSpec, task: TaskSpec) -> Iterator[tuple[LimitKey, int]]:
    """Yield each limit that an instance of the task is counted in while it is queued or running."""
    lane = _lane_of(task)
    return Group(spec.dag_id, task.pool, "", iter(()), lane.slots, lane.own_limits(spec.dag_id)).needs()


def limit_sizes(spec: DagSpec, pools: Mapping[str, int]) -> dict[LimitKey, int]:
    """Return the sizes of the limits of a run; one that is not in it does not limit.

    Raises BadInput for a size that is none, and for a task that could never run because its pool is too small.
    """
    sizes: dict[LimitKey, int] = {("pool", "default"): DEFAULT_POOL_SLOTS}
    for name, size in dict[str, Any](pools).items():
        if isinstance(size, bool) or not isinstance(size, int) or size < UNLIMITED:
            raise BadInput(
                f"pool {name!r} has {size!r} slots; give a whole number from 0 up, or -1 for no limit"
            )
        sizes["pool", name] = size
    if spec.max_active_tasks is not None:
        sizes["dag_tasks", spec.dag_id] = spec.max_active_tasks
    for task in spec.tasks:
        size = sizes.get(("pool", task.pool), UNLIMITED)
        if UNLIMITED < size < task.pool_slots:
            raise BadInput(
                f"task {task.task_id!r} takes {task.pool_slots} of the {size} slots of pool {task.pool!r}, so it could "
                "never run; make the pool larger (`pools=`) or let the task take fewer (`pool_slots=`)"
            )
        if task.max_active_tis_per_dag is not None:
            sizes[task_limit(spec.dag_id, task.task_id)] = task.max_active_tis_per_dag
        if task.max_active_tis_per_dagrun is not None:
            sizes[run_task_limit(spec.dag_id, task.task_id, RUN)] = task.max_active_tis_per_dagrun
    return sizes


def _lane_of(task: TaskSpec) -> Lane:
    return Lane.of(
        priority=priority_of(task),
        slots=task.pool_slots,
        task_id=task.task_id,
        run_pk=RUN,
        limited=task.max_active_tis_per_dag is not None,
        limited_per_run=task.max_active_tis_per_dagrun is not None,
    )
