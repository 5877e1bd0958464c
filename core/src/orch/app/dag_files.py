"""The DAG files of a home: which of them the database does not know as they are, and registering those."""

from contextlib import closing

from orch.dagfiles.bundle import BundleTaker, pin_rule
from orch.dagfiles.discover import discover
from orch.dagfiles.processor import DagProcessor, ScanReport
from orch.dagfiles.tracker import Tracker
from orch.plugins import load_plugins
from orch.settings import Settings
from orch.store.engine import Store
from orch.store.queries import bundles, dag_files


def stale_files(settings: Settings, store: Store) -> list[str]:
    """Return the DAG files that differ from what is registered; nothing is imported."""
    tracker = Tracker(settings.core.dags_folder)
    with store.read() as tx:
        tracker.load(dag_files.known_files(tx))
    for file in tracker.files.values():
        file.retry_at = None  # a broken file counts only when it was touched
    changes = tracker.compare(discover(settings.core.dags_folder))
    return [*changes.to_import, *(result.path for result in changes.unusable), *changes.gone]


def is_behind(settings: Settings, store: Store, dag_id: str) -> bool:
    """Return whether a file that no import of the DAG has used, but a task may use, differs from what is stored."""
    rule = pin_rule(settings)
    taker = BundleTaker(settings.core.dags_folder, rule)
    with store.read() as tx:
        used = {path for file in dag_files.known_files(tx) for path in file.sources}
    found = discover(settings.core.dags_folder, rule)
    if not found.is_complete:
        return False
    with store.read() as tx:
        return dag_id in bundles.lagging(tx, taker.take(found, used).taken)


def register_dag_files(settings: Settings, store: Store) -> ScanReport:
    """Import the DAG files that are new or changed and register what they declare."""
    with closing(DagProcessor(settings, store, load_plugins(settings))) as processor:
        return processor.run_once()
