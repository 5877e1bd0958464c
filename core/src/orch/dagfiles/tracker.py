"""The tracker: what is known of each file, and which files a walk shows to be new, changed or gone."""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from orch.dagfiles.discover import Found
from orch.dagfiles.results import ImportProblem, ImportResult
from orch.dagfiles.sources import (
    LARGEST_SOURCE,
    FileStat,
    are_settled,
    combined_key,
    digest_file,
    may_declare_dags,
)
from orch.domain.sources import MISSING, content_hash
from orch.store.queries.dag_files import KnownFile

FIRST_RETRY_SECONDS = 60.0
LONGEST_RETRY_SECONDS = 3600.0
"""A broken file is tried again now and then: what breaks it may lie outside of it."""


@dataclass
class TrackedFile:
    """What is known of one file since it was last imported."""

    path: str
    content_hash: str
    sources: tuple[str, ...]
    key: str = ""
    """Combined stat key of the sources; empty while it cannot be trusted, then their content decides."""
    dag_ids: tuple[str, ...] = ()
    """The DAGs it brings; while it is broken, those of its last good version."""
    is_broken: bool = False
    misses_module: bool = False
    rivals: frozenset[str] = frozenset()
    """Files that have DAGs which this one declares too."""
    failures: int = 0
    retry_at: float | None = None


@dataclass
class Changes:
    """What one walk has shown."""

    to_import: list[str] = field(default_factory=list)
    unusable: list[ImportResult] = field(default_factory=list)
    """Files that cannot even be given to the importer."""
    settled: dict[str, str] = field(default_factory=dict)
    """Path → new stat key of files whose content is the same."""
    gone: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Files that mention neither orch nor airflow nor a DAG."""

    @property
    def skipped(self) -> int:
        """How many files are left out."""
        return len(self.left_out)


class Tracker:
    """Compares walks with what it remembers. It has no database: its owner tells it what has been registered."""

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.files: dict[str, TrackedFile] = {}
        self._folder = folder
        self._clock = clock
        self._now_ns = now_ns
        self._others: dict[str, str] = {}
        self._names: frozenset[str] | None = None

    def load(self, known: Iterable[KnownFile]) -> None:
        """Begin with what the store remembers; broken files are due at once, whatever they look like."""
        for file in known:
            tracked = TrackedFile(file.path, file.content_hash, file.sources, file.stat_key, file.dag_ids)
            if file.is_broken:
                tracked = replace(tracked, is_broken=True, retry_at=self._clock())
            self.files[file.path] = tracked

    def owners(self, without: Collection[str] = ()) -> dict[str, str]:
        """Return DAG id → file of all DAGs that are live, leaving out what some files have."""
        files = (file for file in self.files.values() if file.path not in without)
        return {dag_id: file.path for file in files for dag_id in file.dag_ids}

    def compare(self, found: Found, busy: Collection[str] = ()) -> Changes:
        """Return what differs from what is known; `busy` files are left alone. Reads only files in doubt."""
        changes = Changes()
        names = frozenset(found.files)
        has_grown = self._names is not None and not names <= self._names
        self._names = names
        for path in (found.files.keys() | found.unreadable.keys()) - set(busy):
            if (reason := found.unreadable.get(path)) is not None:
                self._refuse(path, f"the file cannot be read: {reason}", changes)
            elif (known := self.files.get(path)) is not None:
                self._look_at_known(known, found, changes, has_grown=has_grown)
            else:
                self._look_at_new(path, found.files[path], changes)
        changes.to_import.sort()
        self._miss(found, busy, changes)
        changes.left_out = sorted(self._others)
        return changes

    def stamp(self, result: ImportResult) -> ImportResult:
        """Return the result with the stat key of its sources; call it at once when the result arrives."""
        stats = {path: FileStat.look(self._folder / path) for path in result.sources}
        before = self._now_ns() - int(result.seconds * 1e9)
        return replace(result, stat_key=combined_key(stats) if are_settled(stats.values(), before) else "")

    def registered(self, result: ImportResult, rivals: frozenset[str] = frozenset()) -> None:
        """Remember a result that the store has now; files that lost a DAG to this one are due again."""
        former = self.files.get(result.path)
        file = TrackedFile(
            result.path, content_hash(result.sources), tuple(result.sources), result.stat_key,
            misses_module=result.misses_module, rivals=rivals,
        )  # fmt: skip
        if result.problems:
            file.is_broken = True
            file.dag_ids = former.dag_ids if former else ()
            file.failures = former.failures + 1 if former else 1
            pause = min(FIRST_RETRY_SECONDS * 2 ** (file.failures - 1), LONGEST_RETRY_SECONDS)
            file.retry_at = self._clock() + pause
        else:
            file.dag_ids = tuple(dag.dag_id for dag in result.dags)
        self.files[result.path] = file
        self._free_rivals_of(result.path)

    def forgotten(self, path: str) -> None:
        """Remember that a file is gone from the store."""
        del self.files[path]
        self._free_rivals_of(path)

    def _free_rivals_of(self, path: str) -> None:
        for other in self.files.values():
            if path in other.rivals:
                other.retry_at = self._clock()

    def _look_at_new(self, path: str, stat: FileStat, changes: Changes) -> None:
        if self._others.get(path) == stat.key:
            return
        self._others.pop(path, None)
        if stat.size > LARGEST_SOURCE:
            self._refuse(path, _too_large(stat), changes)
            return
        try:
            may_have_dags = may_declare_dags(self._folder / path)
        except OSError as error:
            self._refuse(path, f"the file cannot be read: {error.strerror or error}", changes)
            return
        if may_have_dags:
            changes.to_import.append(path)
        else:
            self._others[path] = stat.key if are_settled([stat], self._now_ns()) else ""

    def _look_at_known(self, known: TrackedFile, found: Found, changes: Changes, *, has_grown: bool) -> None:
        stats = {path: found.files.get(path) or FileStat.look(self._folder / path) for path in known.sources}
        key = combined_key(stats)
        is_due = known.retry_at is not None and known.retry_at <= self._clock()
        is_due |= known.misses_module and has_grown
        if key == known.key and not is_due:
            return
        own = found.files[known.path]
        is_due |= known.is_broken and known.key not in ("", key)  # touched: its author wants another try
        if own.size > LARGEST_SOURCE:
            self._refuse(known.path, _too_large(own), changes)
        elif is_due or self._content_of(known) != known.content_hash:
            changes.to_import.append(known.path)
        elif are_settled(stats.values(), self._now_ns()):
            known.key = changes.settled[known.path] = key
        else:
            known.key = ""

    def _content_of(self, file: TrackedFile) -> str:
        return content_hash({path: digest_file(self._folder / path) for path in file.sources})

    def _refuse(self, path: str, message: str, changes: Changes) -> None:
        """Report a file that cannot be imported, once for each time it looks different."""
        known = self.files.get(path)
        stat = FileStat.look(self._folder / path)
        if known is None or not known.is_broken or known.key != combined_key({path: stat}):
            result = ImportResult(path, problems=(ImportProblem.of(message),), sources={path: MISSING})
            changes.unusable.append(self.stamp(result))

    def _miss(self, found: Found, busy: Collection[str], changes: Changes) -> None:
        """Note what is gone; a walk that could not see everything proves nothing."""
        if found.is_complete:
            here = found.files.keys() | found.unreadable.keys() | set(busy)
            changes.gone = sorted(self.files.keys() - here)
            self._others = {path: key for path, key in self._others.items() if path in here}


def _too_large(stat: FileStat) -> str:
    return f"the file has {stat.size >> 20} MB; {LARGEST_SOURCE >> 20} MB are allowed"
