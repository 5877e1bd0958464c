"""The reader: how commands that only look see the database of a home."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from orch.errors import BadInput
from orch.processes import LockFile, boot_id
from orch.settings import Settings
from orch.store.queries import watching
from orch.store.queries.watching import ProcessSign
from orch.store.reader import Reader, check_schema, new_reader, sqlite_path


@contextmanager
def open_reader(settings: Settings) -> Iterator[Reader]:
    """Open the database of a home that is there; raise BadInput or SchemaMismatch, with the remedy, otherwise."""
    require_database(settings)
    with closing(reader_of(settings)) as reader:
        check_schema(reader, settings.database.url)
        yield reader


def require_database(settings: Settings) -> None:
    """Raise BadInput unless the home has a database; its schema may be any."""
    path = sqlite_path(settings.database.url)
    if path is not None and not path.exists():
        raise BadInput(
            f"there is no database in {settings.core.home}; start with `orch up` or `orch run DAG`, "
            "or name another home with --home DIR or ORCH_HOME"
        )


def reader_of(settings: Settings) -> Reader:
    """Return a way to read the database; nothing is connected yet."""
    return new_reader(settings.database.url, settings.database.busy_timeout_seconds)


def live_roles(reader: Reader) -> frozenset[str]:
    """Return the roles that have a live process here or, by their lease, elsewhere."""
    return frozenset(sign.role for sign in live_processes(reader))


def live_processes(reader: Reader) -> list[ProcessSign]:
    """Return the components that are alive here or, by their lease, elsewhere."""
    with reader.read() as tx:
        signs = watching.signs_of_life(tx)
        now = tx.now
    return [sign for sign in signs if _is_alive(sign, now)]


def _is_alive(sign: ProcessSign, now: int) -> bool:
    """On this host the lock file proves life or death; a lease only says what was so a moment ago."""
    if sign.lock_path and sign.host == socket.gethostname() and sign.boot_id == boot_id():
        return not LockFile.is_free(Path(sign.lock_path))
    return sign.lease_until > now
