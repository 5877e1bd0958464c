"""Serialised DAGs in memory: each version is read and parsed once per process."""

from collections import OrderedDict

from orch.domain.dagspec import DagSpec
from orch.store.engine import Tx
from orch.store.queries import runs

MOST_TASKS = 50_000
"""Together about as many megabytes; thousands of small DAGs fit, and a few huge ones."""


class SpecCache:
    """The most recently used versions; a version never changes, so an entry is never stale."""

    def __init__(self, most_tasks: int = MOST_TASKS) -> None:
        self._most_tasks = most_tasks
        self._tasks = 0
        self._specs: OrderedDict[int, DagSpec] = OrderedDict()

    def get(self, tx: Tx, version_id: int) -> DagSpec:
        """Return the spec of a version, read in `tx` when it is not in memory."""
        spec = self._specs.get(version_id)
        if spec is None:
            spec = runs.spec_of_version(tx, version_id)
            self._keep(version_id, spec)
        self._specs.move_to_end(version_id)
        return spec

    def _keep(self, version_id: int, spec: DagSpec) -> None:
        self._specs[version_id] = spec
        self._tasks += _size(spec)
        while self._tasks > self._most_tasks and len(self._specs) > 1:
            _, dropped = self._specs.popitem(last=False)
            self._tasks -= _size(dropped)


def _size(spec: DagSpec) -> int:
    return 1 + len(spec.tasks)  # a DAG without tasks takes room too
