"""The services: the store and the operations on it."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from orch.app.home import make_folders
from orch.domain.dagspec import DagSpec
from orch.domain.timetables import BUILT_IN, DagTimetable, timetable_of
from orch.failpoints import Failpoints
from orch.hints import send_hint
from orch.operations import database as database_operations
from orch.operations.actor import Actor
from orch.operations.database import Database
from orch.operations.perform import Services
from orch.plugins import load_plugins
from orch.settings import Settings
from orch.store import migrate
from orch.store.engine import Store
from orch.store.queries import processes


def database_of(settings: Settings) -> Database:
    """Return where the database of this home is."""
    return Database(
        url=settings.database.url,
        busy_timeout_seconds=settings.database.busy_timeout_seconds,
        default_pool_slots=settings.core.default_pool_slots,
        failpoints=Failpoints.from_environment(),
    )


def make_home(settings: Settings, actor: Actor) -> bool:
    """Make the folders and bring the database to this code; return whether the database was changed."""
    make_folders(settings)
    return database_operations.upgrade(database_of(settings), actor)


@contextmanager
def open_store(settings: Settings) -> Iterator[Store]:
    """Open the store of a home whose database fits this code; raise SchemaMismatch, with the remedy, otherwise."""
    migrate.check(settings.database.url)
    with closing(new_store(settings)) as store:
        yield store


def new_store(settings: Settings) -> Store:
    """Return this process's way to the database; nothing is connected yet."""
    return Store.open(
        settings.database.url,
        busy_timeout_seconds=settings.database.busy_timeout_seconds,
        failpoints=Failpoints.from_environment(),
    )


def services_of(settings: Settings, store: Store) -> Services:
    """Return what operations work with."""
    return Services(
        store,
        settings.core.executor,
        wake=lambda: wake_schedulers(store),
        timetable_of=timetables_of(settings),
    )


def timetables_of(settings: Settings) -> Callable[[DagSpec], DagTimetable]:
    """Return what gives a DAG its timetable; plugins are loaded when the first DAG needs one of theirs."""

    def find(spec: DagSpec) -> DagTimetable:
        if spec.timetable is None or spec.timetable.kind in BUILT_IN:
            return timetable_of(spec)
        return load_plugins(settings).timetable_of(spec)

    return find


def wake_schedulers(store: Store) -> None:
    """Hint all schedulers that there is something to do; a lost hint only costs a poll."""
    with store.read() as tx:
        addresses = processes.addresses(tx, "scheduler")
    for address in addresses:
        send_hint(address)
