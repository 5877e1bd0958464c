"""Admission: which scheduled task instances get a slot now. DAGs take turns, and nobody is passed over for ever.

Who comes next is found in three steps. First by level: the whole doublings of the highest weight that a DAG has
waiting in a pool, one more for each span of ageing in which the DAG got nothing there. Among DAGs of one level the
one that got a slot of the pool the longest ago. Within the DAG the lowest rank: waiting since, less the head start
of its priority.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from orch.domain.ageing import level
from orch.domain.limits import LimitKey


class Candidate(NamedTuple):
    """A scheduled task instance that wants slots; candidates compare by rank, then age."""

    rank: int
    """Microseconds: waiting since, less the head start of its priority."""
    ti_id: int
    waiting_since: int
    priority: int

    @property
    def head_start(self) -> int:
        """What its priority is worth, in microseconds of waiting."""
        return self.waiting_since - self.rank


@dataclass(frozen=True, slots=True)
class Group:
    """Candidates of one DAG, pool, executor and lane: they take the same, so only the first one competes."""

    dag_id: str
    pool: str
    executor: str
    candidates: Iterator[Candidate]
    """By rank; read only as far as they are admitted."""
    slots: int = 1
    own_limits: tuple[LimitKey, ...] = ()

    def needs(self) -> Iterator[tuple[LimitKey, int]]:
        """Yield each limit that a candidate is counted in and how much it takes, the pool last."""
        yield ("dag_tasks", self.dag_id), 1
        yield ("executor", self.executor), 1
        for key in self.own_limits:
            yield key, 1
        yield ("pool", self.pool), self.slots


Turn = tuple[str, str]
"""(pool, dag id): who takes turns, and over what."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the order follows from beside the candidates."""

    now: int
    ageing_seconds: float
    served_at: Mapping[Turn, int] = field(default_factory=dict)
    """When each DAG last got a slot of a pool, in microseconds; never is 0."""


@dataclass(slots=True)
class Admission:
    """The result: who is queued, and which limits made somebody wait."""

    admitted: list[tuple[Group, Candidate]] = field(default_factory=list)
    """In the order of their turns."""
    served_at: dict[Turn, int] = field(default_factory=dict)
    """The turns taken, each by the last slot it got."""
    saturated: set[LimitKey] = field(default_factory=set)
    reserved: dict[str, tuple[Group, Candidate]] = field(default_factory=dict)
    """Pool -> who comes next in it and lacks slots: what is free is kept for that one."""
    looked_at: set[LimitKey] | None = None
    """The limits that it can judge; None means all."""
    is_complete: bool = True
    """False when the batch was full before everybody had been looked at."""


def admit(groups: Iterable[Group], free: Mapping[LimitKey, int], order: Order, batch: int) -> Admission:
    """Admit at most `batch` candidates, in order, as far as `free` goes; a key that is not in it has no limit.

    A candidate that lacks slots of its pool closes the pool for all who come later: a wide one is not overtaken
    for ever. One that its DAG, executor or task keeps waiting closes its own group only. Cost: the groups, plus
    the logarithm of their number for each admitted candidate.
    """
    left = dict(free)
    result = Admission()
    contenders = _contenders(groups, order)
    while contenders:
        if len(result.admitted) >= batch:
            result.is_complete = False
            break
        contender = heappop(contenders)[-1]
        if contender.turn[0] in result.reserved:
            continue
        _serve(contender, left, order, result)
        if contender.heads:
            heappush(contenders, contender.place())
    return result


def _contenders(groups: Iterable[Group], order: Order) -> "list[_Place]":
    by_turn: dict[Turn, list[_Head]] = {}
    for number, group in enumerate(groups):
        if (first := next(group.candidates, None)) is not None:
            by_turn.setdefault((group.pool, group.dag_id), []).append((first, number, group))
    places = [_Contender(turn, heads, order).place() for turn, heads in by_turn.items()]
    heapify(places)
    return places


def _serve(contender: "_Contender", left: dict[LimitKey, int], order: Order, result: Admission) -> None:
    """Admit the contender's first candidate, or close what it waits for."""
    candidate, _, group = contender.heads[0]
    full = [key for key, amount in group.needs() if left.get(key, amount) < amount]
    if full and full[0][0] != "pool":
        # all the slots of its pool would not help it, so none are kept for it
        result.saturated.update(key for key in full if key[0] != "pool")
        contender.drop_head()
    elif full:
        result.saturated.update(full)
        result.reserved[group.pool] = (group, candidate)
    else:
        for key, amount in group.needs():
            if key in left:
                left[key] -= amount
        served_at = order.now + len(result.admitted)  # distinct, so that the next transaction knows the order
        result.admitted.append((group, candidate))
        result.served_at[contender.turn] = served_at
        contender.advance(served_at)


_Head = tuple[Candidate, int, Group]
"""The first candidate of a group, a number that settles ties, and the group."""
_Place = tuple[int, int, Candidate, int, "_Contender"]
"""What contenders are ordered by: highest level, longest unserved, lowest rank; the number settles ties."""


class _Contender:
    """One DAG in one pool, with the heads of its groups; it competes at the highest level among them.

    That a low head competes at the level of a higher one behind it is deliberate: otherwise a DAG's old backlog
    would hold back its own urgent task below the tasks of others that weigh less.
    """

    def __init__(self, turn: Turn, heads: list[_Head], order: Order) -> None:
        self.turn = turn
        self.heads = heads
        heapify(heads)
        self._ageing = order.ageing_seconds
        self._now = order.now
        self._served_at = order.served_at.get(turn, 0)
        self._levels = Counter(self._level(candidate) for candidate, _, _ in heads)

    def place(self) -> _Place:
        candidate, number, _ = self.heads[0]
        return -max(self._levels), self._served_at, candidate, number, self

    def drop_head(self) -> None:
        """Take the group of the first candidate out."""
        self._forget(heappop(self.heads)[0])

    def advance(self, served_at: int) -> None:
        """Go on behind the first candidate, who got a slot: the DAG is passed over no longer."""
        is_first_slot = self._served_at < self._now
        candidate, number, group = heappop(self.heads)
        self._forget(candidate)
        self._served_at = served_at
        if is_first_slot:
            self._levels = Counter(self._level(head) for head, _, _ in self.heads)
        if (following := next(group.candidates, None)) is not None:
            heappush(self.heads, (following, number, group))
            self._levels[self._level(following)] += 1

    def _forget(self, candidate: Candidate) -> None:
        own = self._level(candidate)
        self._levels[own] -= 1
        if not self._levels[own]:
            del self._levels[own]

    def _level(self, candidate: Candidate) -> int:
        unserved = self._now - max(candidate.waiting_since, self._served_at)
        return level(candidate.priority, unserved, self._ageing)
