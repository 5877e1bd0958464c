"""Limits: the budgets that task instances take from while they are queued or running, and what of them is left."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor

from orch.domain.ageing import doublings

UNLIMITED = -1

LimitKey = tuple[str, str]
"""(kind, name): ("pool", "default"), ("dag_tasks", "weather"), ("executor", "LocalExecutor"),
("task", "weather/load"), and ("run_task", "weather/load") with the run behind it where it is counted."""


def task_limit(dag_id: str, task_id: str) -> LimitKey:
    """Return the limit of a task over all runs. Ids hold no slash, so that no two tasks share a name."""
    return "task", f"{dag_id}/{task_id}"


def run_task_limit(dag_id: str, task_id: str, run_pk: int) -> LimitKey:
    """Return the limit of a task within one run; its size stands under `size_key`."""
    return "run_task", f"{dag_id}/{task_id}/{run_pk}"


def size_key(key: LimitKey) -> LimitKey:
    """Return the limit whose size is meant: that of a task in a run is the same for all runs."""
    return (key[0], key[1].rpartition("/")[0]) if key[0] == "run_task" else key


def free_slots(sizes: Mapping[LimitKey, int], used: Mapping[LimitKey, int]) -> dict[LimitKey, int]:
    """Return what is left of each limited key; unlimited ones are left out."""
    return {key: size - used.get(key, 0) for key, size in sizes.items() if size != UNLIMITED}


@dataclass(frozen=True, slots=True)
class Lane:
    """What task instances of one DAG, pool and executor share who can only be admitted one after the other.

    They take the same slots, have the same limits of their own, and priorities of the same whole doublings.
    """

    level: int = 0
    slots: int = 1
    task_id: str = ""
    """Set when the task has a limit of its own."""
    run_pk: int | None = None
    """Set when that limit counts within each run."""

    @classmethod
    def of(
        cls,
        *,
        priority: int,
        slots: int,
        task_id: str,
        run_pk: int,
        limited: bool,
        limited_per_run: bool,
    ) -> "Lane":
        """Return the lane of a task instance; `limited` and `limited_per_run` say what limits its task has."""
        has_limit = limited or limited_per_run
        return cls(
            floor(doublings(priority)),
            slots,
            task_id if has_limit else "",
            run_pk if limited_per_run else None,
        )

    @property
    def text(self) -> str:
        """The lane as it is stored; empty for the plain one: weight 1, one slot, no limits of its own."""
        if self == _PLAIN:
            return ""
        return f"{self.level}/{self.slots}/{self.task_id}/{'' if self.run_pk is None else self.run_pk}"

    @classmethod
    def parse(cls, text: str) -> "Lane":
        """Read what `text` gave."""
        if not text:
            return _PLAIN
        level, slots, task_id, run_pk = text.split("/")
        return cls(int(level), int(slots), task_id, int(run_pk) if run_pk else None)

    def own_limits(self, dag_id: str) -> tuple[LimitKey, ...]:
        """Return the limits of the task itself that an instance in this lane is counted in."""
        if not self.task_id:
            return ()
        limits = (task_limit(dag_id, self.task_id),)
        if self.run_pk is None:
            return limits
        return (*limits, run_task_limit(dag_id, self.task_id, self.run_pk))


_PLAIN = Lane()
