"""The keeper: has the present state of the dags folder stored, and run by the DAGs whose sources are in it."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from orch.dagfiles.bundle import Bundle, BundleTaker
from orch.dagfiles.discover import Found, discover
from orch.dagfiles.results import ImportResult
from orch.domain.sources import PinRule, blobs_of, fits
from orch.store.engine import Store
from orch.store.queries import bundles
from orch.store.queries.bundles import TakenBundle

BYTES_PER_TRANSACTION = 8 * 1024 * 1024


class BundleKeeper:
    """Keeps one dags folder's state in the database; new runs get it."""

    def __init__(self, folder: Path, rule: PinRule, store: Store) -> None:
        self._folder = folder
        self._rule = rule
        self._store = store
        self._taker = BundleTaker(folder, rule)
        self._bundle = Bundle()
        self._assigned: Bundle | None = None
        """The bundle that all DAGs have whose sources it holds."""

    def walk(self) -> Found:
        """Walk the folder; what is stored is found too."""
        return discover(self._folder, self._rule)

    def look(self, found: Found, used: Iterable[str]) -> None:
        """Take the state of the folder, with the sources that imports `used`; what cannot be seen whole is none."""
        if found.is_complete:
            self._bundle = self._taker.take(found, used)

    def fits(self, result: ImportResult) -> bool:
        """Return whether what was imported is what the folder holds; a broken file's sources do not matter."""
        was_seen = bool(self._bundle.files)
        return bool(result.problems) or not was_seen or fits(result.sources, self._bundle.digests)

    def stored(self) -> TakenBundle | None:
        """Store the contents of the present state; the state itself is stored with the DAGs that run it.

        None when a content is gone, since its file has changed since the last look.
        """
        bundle = self._bundle
        with self._store.read() as tx:
            is_known = bundles.find(tx, bundle.taken.hash) is not None
            missing = set() if is_known else bundles.missing_blobs(tx, blobs_of(bundle.files))
        part: dict[str, bytes] = {}
        for hash_, content in self._taker.contents(bundle, missing):
            missing.discard(hash_)
            part[hash_] = content
            if sum(map(len, part.values())) > BYTES_PER_TRANSACTION:
                self._put_blobs(part)
                part = {}
        self._put_blobs(part)
        return None if missing else bundle.taken

    def assign(self) -> None:
        """Have all DAGs run the present state whose own sources are in it as they were imported."""
        if self._assigned is self._bundle:
            return
        bundle = self._bundle
        with self._store.read() as tx:
            is_wanted = bool(bundles.lagging(tx, bundle.taken))
        if is_wanted:
            taken = self.stored()
            if taken is None or not self._store.transact(
                "register_dags", partial(bundles.assign, bundle=taken)
            ):
                return  # a file has changed meanwhile; the next walk sees it
        self._assigned = bundle

    def registered(self) -> None:
        """Note that DAGs have been registered: some may lack the present state."""
        self._assigned = None

    def _put_blobs(self, contents: dict[str, bytes]) -> None:
        if contents:
            self._store.transact("register_dags", lambda tx: bundles.put_blobs(tx, contents))
