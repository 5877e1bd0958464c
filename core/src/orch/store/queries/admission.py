"""Admission's reads: who waits first in each group, what is taken, and whose turn it is.

No read here grows with the number of those who wait: a recursive query steps from one group to the first entry of
the next in ix_task_instance_waiting, and pools and executors without room are not looked into.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from orch.domain.admission import Admission, Candidate, Group, Order, Turn, admit
from orch.domain.limits import UNLIMITED, Lane, LimitKey, free_slots, size_key
from orch.store.queries.limit_sizes import ageing_seconds, task_limits
from orch.store.reader import ReadTx

_FIRST_READ, _LARGEST_READ = 8, 512
"""How many of a group are read at once: few, then more, since most groups get few slots."""


def plan_admission(tx: ReadTx, batch: int, dag_pk: int | None = None) -> Admission:
    """Return who would be queued now, at most `batch`; with `dag_pk` only task instances of that DAG are looked at.

    It is decided on what this transaction sees, so only a write transaction may act on it.
    """
    pools = waiting_pools(tx)
    if not pools:
        return Admission(looked_at=None if dag_pk is None else set())
    usage = used(tx)
    sizes = usage.sizes | {("pool", pool): 0 for pool in pools if ("pool", pool) not in usage.sizes}
    free = free_slots(sizes, usage.taken)
    found = _Found(usage)
    for pool in pools:
        if free.get(("pool", pool), 1) > 0:
            for executor in _waiting_executors(tx, pool):
                if free.get(("executor", executor), 1) > 0:
                    found.add(tx, pool, executor, sizes[("pool", pool)], dag_pk)
                else:
                    found.closed.add(("executor", executor))
        elif ("pool", pool) in usage.sizes:
            found.closed.add(("pool", pool))
    free |= free_slots(found.sizes(tx), usage.of_dags(found.dags))
    order = Order(tx.now, ageing_seconds(tx), found.served_at)
    result = admit(found.groups, free, order, batch)
    result.saturated |= found.closed
    if dag_pk is not None:
        result.looked_at = found.closed.union(*({key for key, _ in group.needs()} for group in found.groups))
    return result


def waiting_pools(tx: ReadTx) -> list[str]:
    """Return the pools, existing or not, that scheduled task instances name."""
    return [pool for (pool,) in tx.rows(_POOLS)]


def _waiting_executors(tx: ReadTx, pool: str) -> list[str]:
    return [executor for (executor,) in tx.rows(_EXECUTORS, (pool,))]


@dataclass(slots=True)
class Usage:
    """What queued and running task instances take now, and the sizes of pools and executors."""

    sizes: dict[LimitKey, int]
    taken: dict[LimitKey, int] = field(default_factory=dict)
    """Of pools and executors."""
    by_dag: dict[int, int] = field(default_factory=dict)
    """Task instances by the key of their DAG."""
    _lanes: dict[int, list[tuple[Lane, int]]] = field(default_factory=dict)

    def add(self, pool: str, dag_pk: int, executor: str, lane: str, slots: int, count: int) -> None:
        """Count task instances that share all this."""
        for key, amount in ((("pool", pool), slots), (("executor", executor), count)):
            self.taken[key] = self.taken.get(key, 0) + amount
        self.by_dag[dag_pk] = self.by_dag.get(dag_pk, 0) + count
        self._lanes.setdefault(dag_pk, []).append((Lane.parse(lane), count))

    def of_dags(self, dags: dict[int, str]) -> dict[LimitKey, int]:
        """Return what is taken of the limits of these DAGs (id by key) and of their tasks."""
        taken: dict[LimitKey, int] = {}
        for dag_pk, dag_id in dags.items():
            for lane, count in self._lanes.get(dag_pk, ()):
                for key in (("dag_tasks", dag_id), *lane.own_limits(dag_id)):
                    taken[key] = taken.get(key, 0) + count
        return taken


def used(tx: ReadTx) -> Usage:
    """Count what is taken, from states (served by ix_task_instance_taking); the write transaction is the lock."""
    sizes = tx.rows("SELECT kind, name, size FROM limit_row WHERE kind IN ('pool', 'executor')")
    usage = Usage({(kind, name): size for kind, name, size in sizes})
    for row in tx.rows(
        "SELECT pool, dag_pk, executor, lane, SUM(slots), COUNT(*) FROM task_instance"
        " WHERE state IN ('queued', 'running') GROUP BY pool, dag_pk, executor, lane"
    ):
        usage.add(*row)
    return usage


class _Found:
    """The groups that may have room, and what else deciding needs to know of them."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self.groups: list[Group] = []
        self.dags: dict[int, str] = {}
        self.closed: set[LimitKey] = set()
        self.served_at: dict[Turn, int] = {}
        self._sizes: dict[LimitKey, int] = {}
        self._limited: dict[str, list[LimitKey]] = {}

    def add(self, tx: ReadTx, pool: str, executor: str, pool_size: int, dag_pk: int | None) -> None:
        """Add the groups of one pool and executor that may have room.

        Left out are those of DAGs that are full, and those that need more slots than the whole pool has.
        """
        open_dags = self._open_dags(tx, pool, executor, dag_pk)
        if not open_dags:
            return
        rows = tx.rows(_HEADS, (pool, executor, json.dumps(open_dags)))
        for pk, served_at, lane_text, *head in rows:
            lane, dag_id = Lane.parse(lane_text), self.dags[pk]
            if 0 <= pool_size < lane.slots:
                continue
            self.served_at[pool, dag_id] = served_at
            own_limits = lane.own_limits(dag_id)
            if own_limits:
                self._limited.setdefault(dag_id, []).extend(own_limits)
            members = _members(tx, (pool, executor, pk, lane_text), Candidate(*head))
            self.groups.append(Group(dag_id, pool, executor, members, lane.slots, own_limits))

    def _open_dags(self, tx: ReadTx, pool: str, executor: str, dag_pk: int | None) -> list[int]:
        """Return the DAGs that wait and have room themselves."""
        first, last = (0, _LARGEST) if dag_pk is None else (dag_pk, dag_pk)
        found = []
        for pk, dag_id, size in tx.rows(_DAGS, (pool, executor, first, last)):
            if size is not None and 0 <= size <= self._usage.by_dag.get(pk, 0):
                self.closed.add(("dag_tasks", dag_id))
            else:
                self.dags[pk] = dag_id
                self._sizes["dag_tasks", dag_id] = UNLIMITED if size is None else size
                found.append(pk)
        return found

    def sizes(self, tx: ReadTx) -> dict[LimitKey, int]:
        """Return the sizes of the limits of the DAGs and tasks found."""
        for dag_id, keys in self._limited.items():
            known = task_limits(tx, dag_id)
            for kind, name in keys:
                self._sizes[kind, name] = known.get(size_key((kind, name)), UNLIMITED)
        return self._sizes


def _members(tx: ReadTx, group: tuple[str, str, int, str], head: Candidate) -> Iterator[Candidate]:
    """Yield the candidates of a group by rank, reading them as they are asked for."""
    last, most = head, _FIRST_READ
    yield head
    while rows := tx.rows(_MEMBERS, (*group, last.rank, last.ti_id, most)):
        for row in rows:
            last = Candidate(*row)
            yield last
        if len(rows) < most:
            return
        most = min(2 * most, _LARGEST_READ)


_LARGEST = 2**63 - 1

_POOLS = """
WITH RECURSIVE found(pool) AS (
  SELECT MIN(pool) FROM task_instance WHERE state = 'scheduled'
  UNION ALL
  SELECT (SELECT MIN(pool) FROM task_instance WHERE state = 'scheduled' AND pool > found.pool)
  FROM found WHERE found.pool IS NOT NULL)
SELECT pool FROM found WHERE pool IS NOT NULL
"""

_EXECUTORS = """
WITH RECURSIVE found(executor) AS (
  SELECT MIN(executor) FROM task_instance WHERE state = 'scheduled' AND pool = ?1
  UNION ALL
  SELECT (SELECT MIN(executor) FROM task_instance
          WHERE state = 'scheduled' AND pool = ?1 AND executor > found.executor)
  FROM found WHERE found.executor IS NOT NULL)
SELECT executor FROM found WHERE executor IS NOT NULL
"""

_DAGS = """
WITH RECURSIVE found(dag_pk) AS (
  SELECT MIN(dag_pk) FROM task_instance
  WHERE state = 'scheduled' AND pool = ?1 AND executor = ?2 AND dag_pk >= ?3 AND dag_pk <= ?4
  UNION ALL
  SELECT (SELECT MIN(dag_pk) FROM task_instance
          WHERE state = 'scheduled' AND pool = ?1 AND executor = ?2 AND dag_pk > found.dag_pk AND dag_pk <= ?4)
  FROM found WHERE found.dag_pk IS NOT NULL)
SELECT d.id, d.dag_id, l.size FROM found JOIN dag d ON d.id = found.dag_pk
LEFT JOIN limit_row l ON l.kind = 'dag_tasks' AND l.name = d.dag_id
WHERE NOT d.is_paused
"""

_HEADS = """
WITH RECURSIVE head(id) AS (
  SELECT (SELECT n.id FROM task_instance n
          WHERE n.state = 'scheduled' AND n.pool = ?1 AND n.executor = ?2 AND n.dag_pk = wanted.value
          ORDER BY n.lane, (n.state_since - n.head_start), n.id LIMIT 1)
  FROM json_each(?3) wanted
  UNION ALL
  SELECT (SELECT n.id FROM task_instance n
          WHERE n.state = 'scheduled' AND n.pool = ?1 AND n.executor = ?2 AND n.dag_pk = t.dag_pk AND n.lane > t.lane
          ORDER BY n.lane, (n.state_since - n.head_start), n.id LIMIT 1)
  FROM head JOIN task_instance t ON t.id = head.id)
SELECT t.dag_pk, COALESCE(s.served_at, 0), t.lane, t.state_since - t.head_start, t.id, t.state_since, t.priority
FROM head JOIN task_instance t ON t.id = head.id
LEFT JOIN turn s ON s.pool = t.pool AND s.dag_pk = t.dag_pk
"""
"""The first of each group of the DAGs in ?3, one index step for each."""

_MEMBERS = """
SELECT state_since - head_start, id, state_since, priority FROM task_instance
WHERE state = 'scheduled' AND pool = ?1 AND executor = ?2 AND dag_pk = ?3 AND lane = ?4
  AND (state_since - head_start) >= ?5 AND ((state_since - head_start) > ?5 OR id > ?6)
ORDER BY (state_since - head_start), id LIMIT ?7
"""
