"""Serialised DAGs in memory: each version is read and parsed once per process."""

from collections import OrderedDict

from orch.domain.dagspec import DagSpec
from orch.store.engine import Tx
from orch.store.queries import runs


class SpecCache:
    """The most recently used versions; a version never changes, so an entry is never stale."""

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._specs: OrderedDict[int, DagSpec] = OrderedDict()

    def get(self, tx: Tx, version_id: int) -> DagSpec:
        """Return the spec of a version, read in `tx` when it is not in memory."""
        spec = self._specs.get(version_id)
        if spec is None:
            spec = runs.spec_of_version(tx, version_id)
            self._specs[version_id] = spec
            if len(self._specs) > self._size:
                self._specs.popitem(last=False)
        self._specs.move_to_end(version_id)
        return spec
