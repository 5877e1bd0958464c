"""A desk that admits in virtual time: the pure admission with tasks that arrive, run for a while and end."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from orch.domain.admission import Admission, Candidate, Group, Order, Turn, admit
from orch.domain.ageing import head_start
from orch.domain.limits import Lane, LimitKey, free_slots, size_key

SECOND = 1_000_000
AGEING = 3600.0


class Job(NamedTuple):
    """One task instance."""

    dag: str
    weight: int = 1
    slots: int = 1
    pool: str = "default"
    executor: str = "Local"
    task: str = ""
    """Set when the task has a limit of its own."""
    run: int | None = None
    """Set when that limit counts per run."""


GroupKey = tuple[str, str, str, Lane]


@dataclass
class Desk:
    """What is limited, who waits, who runs."""

    sizes: dict[LimitKey, int]
    now: int = 10**15
    turns: dict[Turn, int] = field(default_factory=dict)
    waiting: dict[GroupKey, list[Candidate]] = field(default_factory=lambda: defaultdict(list))
    running: dict[int, Job] = field(default_factory=dict)
    admitted: list[int] = field(default_factory=list)
    """Numbers of the jobs in the order in which they got their slots."""
    jobs: list[Job] = field(default_factory=list)

    def add(self, *jobs: Job) -> list[int]:
        """Let jobs wait; return their numbers."""
        numbers = []
        for job in jobs:
            number = len(self.jobs)
            lane = Lane.of(
                priority=job.weight,
                slots=job.slots,
                task_id=job.task,
                run_pk=job.run or 0,
                limited=bool(job.task),
                limited_per_run=job.run is not None,
            )
            rank = self.now - head_start(job.weight, AGEING)
            queue = self.waiting[job.pool, job.executor, job.dag, lane]
            queue.append(Candidate(rank, number, self.now, job.weight))
            self.jobs.append(job)
            numbers.append(number)
        return numbers

    def admit(self, batch: int = 500) -> Admission:
        """Admit once; a microsecond goes by."""
        self.now += 1000
        free = free_slots(self.sizes_of_all(), self.used())
        result = admit(self.groups(), free, Order(self.now, AGEING, self.turns), batch)
        self.turns |= result.served_at
        gone = {candidate.ti_id for _, candidate in result.admitted}
        for _, candidate in result.admitted:
            self.running[candidate.ti_id] = self.jobs[candidate.ti_id]
            self.admitted.append(candidate.ti_id)
        for key in list(self.waiting):
            if any(candidate.ti_id in gone for candidate in self.waiting[key][: len(gone)]):
                self.waiting[key] = [each for each in self.waiting[key] if each.ti_id not in gone]
            if not self.waiting[key]:
                del self.waiting[key]
        return result

    def end(self, number: int) -> None:
        """A job has ended and gives its slots back."""
        del self.running[number]

    def groups(self) -> Iterator[Group]:
        """Yield everybody who waits."""
        for (pool, executor, dag, lane), queue in self.waiting.items():
            queue.sort()
            yield Group(dag, pool, executor, iter(queue), lane.slots, lane.own_limits(dag))

    def used(self) -> dict[LimitKey, int]:
        """What the running jobs take."""
        used: dict[LimitKey, int] = defaultdict(int)
        for job in self.running.values():
            for key, amount in needs(job):
                used[key] += amount
        return used

    def sizes_of_all(self) -> dict[LimitKey, int]:
        """The size of each limit that some job is counted in."""
        keys = {key for job in self.jobs for key, _ in needs(job)}
        return {key: self.sizes[size_key(key)] for key in keys if size_key(key) in self.sizes}


def needs(job: Job) -> list[tuple[LimitKey, int]]:
    """What a job takes, worked out apart from the code under test."""
    found: list[tuple[LimitKey, int]] = [
        (("pool", job.pool), job.slots),
        (("dag_tasks", job.dag), 1),
        (("executor", job.executor), 1),
    ]
    if job.task:
        found.append((("task", f"{job.dag}/{job.task}"), 1))
    if job.run is not None:
        found.append((("run_task", f"{job.dag}/{job.task}/{job.run}"), 1))
    return found
