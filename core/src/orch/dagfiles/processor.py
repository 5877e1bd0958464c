"""The DAG processor: keeps the registered DAGs equal to what the files in the dags folder declare."""

import logging
import random
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from orch.dagfiles.acceptance import accept, parsed_file
from orch.dagfiles.bundle import pin_rule
from orch.dagfiles.discover import Found
from orch.dagfiles.importer import Importer, stem_config
from orch.dagfiles.keeper import BundleKeeper
from orch.dagfiles.ownership import Verdict, decide
from orch.dagfiles.results import ImportProblem, ImportResult
from orch.dagfiles.sources import names_dag
from orch.dagfiles.tracker import Tracker
from orch.dagfiles.watcher import FolderWatcher
from orch.errors import OrchError, StoreError
from orch.failpoints import FailpointError
from orch.hints import send_hint
from orch.plugins import Plugins
from orch.processes import StopSignal
from orch.settings import Settings
from orch.store.engine import TRANSIENT, Store, Tx
from orch.store.queries import dag_files, processes, registration
from orch.store.queries.bundles import TakenBundle
from orch.store.queries.dag_files import DagLimits, ParsedFile

log = logging.getLogger("orch.dagfiles")

DAGS_PER_TRANSACTION = 200
GATHER_SECONDS = 0.1
"""How long the first result waits for others, and the first sign of a change for the rest of it."""
IDLE_SECONDS = 30.0
"""How long an idle stem keeps its memory."""
LONGEST_BACKOFF = 5.0
MOST_REPEATS = 3
"""How often in a row a file is imported again because its sources change meanwhile."""


@dataclass
class ScanReport:
    """What the files were like and what became of them."""

    found: int = 0
    skipped: int = 0
    """Files that do not mention orch."""
    imported: list[str] = field(default_factory=list)
    problems: dict[str, tuple[ImportProblem, ...]] = field(default_factory=dict)
    """File → why it cannot be used, of the files imported now."""
    changed_dags: list[str] = field(default_factory=list)
    """DAGs that are new, changed, back or missing now."""
    gone: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    """Why the walk did not see everything."""


class DagProcessor:
    """Finds changed DAG files, has them imported and registers the result. One process per dags folder."""

    def __init__(self, settings: Settings, store: Store, plugins: Plugins) -> None:
        self._settings = settings
        self._folder = settings.core.dags_folder
        self._store = store
        self._plugins = plugins
        self._default_limits = DagLimits(
            settings.core.max_active_tasks_per_dag, settings.core.max_active_runs_per_dag
        )
        self._importer = Importer(stem_config(settings, plugins), settings.dagfiles.parallelism)
        self._tracker = Tracker(self._folder)
        self._keeper = BundleKeeper(self._folder, pin_rule(settings), store)
        self._repeats: dict[str, int] = {}
        self._is_loaded = False
        self._submitted: set[str] = set()
        self._arrived: list[ImportResult] = []
        self._arrived_since = 0.0
        self._gone: list[str] = []
        self._next_scan = 0.0
        self._unseen: list[str] = []
        self.report = ScanReport()

    def run(self, stop: StopSignal) -> None:
        """Follow the files until `stop` is set. Trouble with the database is waited out."""
        trouble = 0
        with FolderWatcher(self._folder) as watcher, self._importer:
            while not stop.is_set:
                try:
                    self._wait(stop, watcher, self._turn(watcher))
                    trouble = 0
                except (OrchError, OSError) as error:
                    trouble += 1
                    pause = min(LONGEST_BACKOFF, 0.05 * 2**trouble) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
                    log.warning("%s; trying again in %.1f s", error, pause)
                    stop.wait(pause)

    def run_once(self) -> ScanReport:
        """Walk once, import what has changed, register it all; return what happened. Raises StoreError."""
        self.report = ScanReport()
        self._scan()
        while self._importer.is_busy or self._arrived:
            self._receive(GATHER_SECONDS)
            self._register_gathered()
        self._forget()
        self._assign_bundle()
        return self.report

    def close(self) -> None:
        """Stop the processes that import; `run_once` may start them again."""
        self._importer.close()

    def _turn(self, watcher: FolderWatcher) -> float:
        """Do what is due; return for how long nothing else will be."""
        now = time.monotonic()
        if watcher.drain():
            self._next_scan = min(self._next_scan, now + GATHER_SECONDS)
        if now >= self._next_scan:
            watcher.attach()
            self._scan()
            self._next_scan = now + self._settings.dagfiles.poll_seconds
        self._receive(0.0)
        self._register_gathered()
        if not self._importer.is_busy:
            self._forget()
            self._assign_bundle()
        self._importer.rest(IDLE_SECONDS)
        due = self._arrived_since + GATHER_SECONDS if self._arrived else self._next_scan
        return max(0.0, min(due, self._next_scan) - time.monotonic())

    def _wait(self, stop: StopSignal, watcher: FolderWatcher, timeout: float) -> None:
        stem = self._importer.stem
        waited_for = [stop.fileno(), watcher.fileno(), *([stem.fileno()] if stem else [])]
        select.select(waited_for, [], [], timeout)

    def _scan(self) -> None:
        if not self._is_loaded:
            self._load()
        found = self._keeper.walk()
        changes = self._tracker.compare(found, self._submitted)
        self._tell_unseen(found.problems)
        self.report.found, self.report.skipped = len(found.files), changes.skipped
        if changes.settled:
            self._store.transact(
                "register_dags", lambda tx: registration.store_stat_keys(tx, changes.settled)
            )
        self._gone = changes.gone
        self._look(found)
        self._submitted.update(changes.to_import, (result.path for result in changes.unusable))
        self._arrive(changes.unusable)
        self._importer.submit(changes.to_import)

    def _load(self) -> None:
        """Begin with what the store knows; DAGs without limits of their own get those of the settings now."""
        with self._store.read() as tx:
            known = dag_files.known_files(tx)
            outdated = registration.outdated_limits(tx, self._default_limits)
        if outdated:
            self._store.transact("register_dags", lambda tx: registration.set_limits(tx, outdated))
        self._tracker.load(known)
        self._is_loaded = True

    def _receive(self, timeout: float) -> None:
        self._arrive([self._tracker.stamp(result) for result in self._importer.collect(timeout)])

    def _arrive(self, results: Sequence[ImportResult]) -> None:
        if results and not self._arrived:
            self._arrived_since = time.monotonic()
        self._arrived += [accept(result, self._plugins) for result in results]

    def _register_gathered(self) -> None:
        """Register when nothing more will come soon: a transaction for each file would cost more than its import."""
        is_due = time.monotonic() >= self._arrived_since + GATHER_SECONDS
        if self._arrived and (is_due or not self._importer.is_busy):
            self._register()

    def _register(self) -> None:
        """Store what has arrived; what waits for the owner of its DAG, or cannot be stored now, stays."""
        bundle = self._bundle_of_arrived()
        pending = self._submitted - {result.path for result in self._arrived}
        verdict = decide(self._arrived, self._tracker.owners(self._gone), pending, self._may_declare)
        unstored = {result.path: result for result in self._arrived}
        try:
            for batch in _batches(verdict.decided):
                for result in self._store_batch(batch, bundle):
                    self._note(result, verdict)
                    del unstored[result.path]
        finally:
            self._arrived = list(unstored.values())
            self._arrived_since = time.monotonic()

    def _may_declare(self, path: str, dag_id: str) -> bool:
        """Whether a file that is being imported is as new as one that declares this DAG, and may do so too."""
        return path not in self._tracker.files and names_dag(self._folder / path, dag_id)

    def _bundle_of_arrived(self) -> TakenBundle | None:
        """Return the stored bundle of what has arrived; None while the files change faster than they are read."""
        self._import_outdated_again()
        if all(result.problems for result in self._arrived):
            return None
        bundle = self._keeper.stored()
        if bundle is None:
            self._look(self._keeper.walk())
            self._import_outdated_again()
            bundle = self._keeper.stored()
        return bundle

    def _import_outdated_again(self) -> None:
        """Keep only results of files as they are now, so that code and structure of a DAG belong together."""
        if not all(self._keeper.fits(result) for result in self._arrived):
            self._look(self._keeper.walk())
        outdated = [result.path for result in self._arrived if not self._keeper.fits(result)]
        again = {path for path in outdated if self._repeats.get(path, 0) < MOST_REPEATS}
        self._repeats |= {path: self._repeats.get(path, 0) + 1 for path in again}
        self._arrived = [result for result in self._arrived if result.path not in again]
        self._importer.submit(sorted(again))

    def _look(self, found: Found) -> None:
        """Let the keeper see the folder, with all that imports have used of it."""
        known = (file.sources for file in self._tracker.files.values())
        arrived = (result.sources for result in self._arrived)
        self._keeper.look(found, {path for sources in (*known, *arrived) for path in sources})

    def _assign_bundle(self) -> None:
        if not self._arrived:
            self._keeper.assign()

    def _store_batch(
        self, batch: Sequence[ImportResult], bundle: TakenBundle | None
    ) -> Sequence[ImportResult]:
        """Store the results in one transaction; one that the database refuses must not keep out the others."""
        try:
            self._store_results(batch, bundle)
        except (*TRANSIENT, FailpointError):
            raise
        except Exception as error:  # values of foreign code, which must not stop the loop for good
            if len(batch) > 1:
                return [stored for result in batch for stored in self._store_batch([result], bundle)]
            log.exception("%s: its DAGs cannot be stored", batch[0].path)
            problem = ImportProblem.of(f"its DAGs cannot be stored: {error}")
            batch = [replace(batch[0], problems=(problem,))]
            self._store_results(batch, bundle)
        return batch

    def _store_results(self, batch: Sequence[ImportResult], bundle: TakenBundle | None) -> None:
        files = [parsed_file(result, self._default_limits, self._plugins) for result in batch]
        if len(files) == 1 and not files[0].problems:
            files = [self._store_ahead(files[0])]
        self._changed(self._transact(lambda tx: registration.register_files(tx, files, bundle)))

    def _store_ahead(self, file: ParsedFile) -> ParsedFile:
        """Store all but the last DAGs of a file that has very many, and return the rest of it.

        One long transaction would hold up everybody else; the file counts as registered with the last part.
        """
        while len(file.dags) > DAGS_PER_TRANSACTION:
            part, rest = file.dags[:DAGS_PER_TRANSACTION], file.dags[DAGS_PER_TRANSACTION:]
            self._changed(self._transact(partial(registration.register_dags, file=file, dags=part)))
            stored = (*file.stored_ahead, *(dag.spec.dag_id for dag in part))
            file = replace(file, dags=rest, stored_ahead=stored)
        return file

    def _transact(self, work: Callable[[Tx], list[str]]) -> list[str]:
        return self._store.transact("register_dags", work)

    def _note(self, result: ImportResult, verdict: Verdict) -> None:
        self._submitted.discard(result.path)
        self._keeper.registered()
        self._repeats.pop(result.path, None)
        self._tracker.registered(result, verdict.rivals.get(result.path, frozenset()))
        self.report.imported.append(result.path)
        if result.problems:
            self.report.problems[result.path] = result.problems
        if result.finding:
            log.warning("%s", result.finding)
        for problem in result.problems:
            where = f"{result.path}:{problem.line}" if problem.line else result.path
            log.warning("%s: %s", where, problem.message)

    def _forget(self) -> None:
        """Let go of files that are gone, after the import of those that may have taken over their DAGs."""
        if not self._gone or self._arrived:
            return
        gone = self._gone
        self._changed(self._transact(lambda tx: registration.forget_files(tx, gone)))
        for path in gone:
            self._tracker.forgotten(path)
            log.info("%s is gone", path)
        self.report.gone += gone
        self._gone = []

    def _changed(self, dag_ids: list[str]) -> None:
        """Wake the schedulers for new and changed DAGs; a lost hint only costs a poll."""
        if not dag_ids:
            return
        self.report.changed_dags += dag_ids
        log.info("registered: %s", ", ".join(dag_ids))
        with suppress(StoreError):
            with self._store.read() as tx:
                addresses = processes.addresses(tx, "scheduler")
            for address in addresses:
                send_hint(address)

    def _tell_unseen(self, problems: list[str]) -> None:
        """Log what the walk cannot see once, not with each walk."""
        for problem in set(problems) - set(self._unseen):
            log.warning("%s; no DAG counts as missing meanwhile", problem)
        self._unseen = problems
        self.report.unseen = problems


def _batches(results: Sequence[ImportResult]) -> Iterator[list[ImportResult]]:
    """Split the results so that no transaction registers many DAGs; one file is never split here."""
    batch: list[ImportResult] = []
    size = 0
    for result in results:
        if batch and size + len(result.dags) > DAGS_PER_TRANSACTION:
            yield batch
            batch, size = [], 0
        batch.append(result)
        size += len(result.dags)
    if batch:
        yield batch
