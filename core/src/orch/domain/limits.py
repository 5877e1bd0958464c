"""Admission: which scheduled task instances get a slot now, as arithmetic on limits counted from states."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

UNLIMITED = -1

LimitKey = tuple[str, str]
"""(kind, name): ("pool", "default"), ("dag_tasks", "weather"), ("executor", "LocalExecutor")."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A scheduled task instance that wants a slot."""

    ti_id: int
    dag_id: str
    pool: str
    slots: int
    executor: str
    priority: int

    def needs(self) -> Iterable[tuple[LimitKey, int]]:
        """Yield each limit it is counted in and how much it takes of it."""
        yield ("pool", self.pool), self.slots
        yield ("dag_tasks", self.dag_id), 1
        yield ("executor", self.executor), 1


@dataclass(slots=True)
class Admission:
    """The result: who is queued, and which limits made somebody wait."""

    admitted: list[Candidate] = field(default_factory=list)
    saturated: set[LimitKey] = field(default_factory=set)


def free_slots(sizes: Mapping[LimitKey, int], used: Mapping[LimitKey, int]) -> dict[LimitKey, int]:
    """Return what is left of each limited key; unlimited ones are left out."""
    return {key: size - used.get(key, 0) for key, size in sizes.items() if size != UNLIMITED}


def admit(groups: Sequence[Sequence[Candidate]], free: Mapping[LimitKey, int], batch: int) -> Admission:
    """Admit candidates, highest priority first and round robin between groups of equal priority.

    Each group is one DAG's candidates in one pool, sorted by falling priority. A candidate that does not fit
    holds back its own group only, so that a wide task is not overtaken for ever by its narrow neighbours.
    """
    left = dict(free)
    result = Admission()
    turn: deque[deque[Candidate]] = deque(deque(group) for group in groups if group)
    while turn and len(result.admitted) < batch:
        top = max(group[0].priority for group in turn)
        while turn[0][0].priority < top:
            turn.rotate(-1)
        group = turn.popleft()
        candidate = group.popleft()
        full = [key for key, amount in candidate.needs() if key in left and left[key] < amount]
        if full:
            result.saturated.update(full)
            continue
        for key, amount in candidate.needs():
            if key in left:
                left[key] -= amount
        result.admitted.append(candidate)
        if group:
            turn.append(group)
    return result
