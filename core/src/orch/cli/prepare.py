"""What commands that start work do first: make the home, and see to it that the database knows the DAG files."""

import logging
from typing import TYPE_CHECKING

from orch.app.home import is_served
from orch.cli.output import Output, counted
from orch.cli.site import require_dags_folder
from orch.clock import monotonic
from orch.errors import NotFound
from orch.operations.actor import local_actor
from orch.processes import StopSignal
from orch.settings import Settings
from orch.store.queries import dag_versions, reading
from orch.store.queries.reading import ImportErrorRow

if TYPE_CHECKING:
    from orch.store.engine import Store

LONGEST_TEXT = 1024 * 1024
"""So much of a broken file is searched for the id of a DAG."""

SERVER_SECONDS = 10.0
"""How long a running server gets to register a file that was just written."""


def prepare(settings: Settings, dag_id: str | None = None) -> None:
    """Leave a migrated database that knows the DAG (or all DAGs) as its file is now, if there is one.

    A running server registers files itself, so this only waits for it. Without one they are imported here.
    """
    # Imported here: `refresh` needs none of it while a server is there.
    from orch.app.dag_files import register_dag_files
    from orch.app.services import make_home, open_store

    make_home(settings, local_actor())
    # The processor logs broken files for an operator; a person who typed a command is told below.
    logging.getLogger("orch.dagfiles").addHandler(logging.NullHandler())
    with open_store(settings) as store:
        if not settings.core.dags_folder.is_dir():
            if dag_id is None or _file_of(store, dag_id) is None:
                require_dags_folder(settings.core.dags_folder)
        elif is_served(settings):
            _wait_for_server(settings, store, dag_id)
        elif _is_stale(settings, store, dag_id):
            register_dag_files(settings, store)
        if dag_id is not None:
            _note_broken_files(settings, store, dag_id)


def refresh(settings: Settings) -> None:
    """For commands that only look: let the database know the DAG files when no server does so already."""
    if settings.core.dags_folder.is_dir() and not is_served(settings):
        prepare(settings)


def error_line(error: ImportErrorRow) -> str:
    """Return one line on a DAG file that cannot be imported."""
    where = f"{error.path}:{error.line}" if error.line else error.path
    return f"{where} cannot be imported: {error.message}".replace("\n", " ")


def _wait_for_server(settings: Settings, store: "Store", dag_id: str | None) -> None:
    until = monotonic() + SERVER_SECONDS
    with StopSignal() as stop:
        while _is_stale(settings, store, dag_id) and is_served(settings) and monotonic() < until:
            if stop.wait(0.1):
                raise KeyboardInterrupt


def _is_stale(settings: Settings, store: "Store", dag_id: str | None) -> bool:
    """Return whether what was asked for may look different in the files than in the database."""
    from orch.app.dag_files import is_behind, stale_files  # late, as above

    stale = stale_files(settings, store)
    file = None if dag_id is None else _file_of(store, dag_id)
    if dag_id is None or file is None:
        return bool(stale)
    return file in stale or is_behind(settings, store, dag_id)


def _note_broken_files(settings: Settings, store: "Store", dag_id: str) -> None:
    """Tell in full that the DAG's own file is broken, or which one may hold a DAG that is not there; count the rest."""
    file = _file_of(store, dag_id)
    with store.read() as tx:
        errors = reading.import_errors(tx)
        version = dag_versions.last_good(tx, dag_id)
    own = next((error for error in errors if error.path == file), None)
    if own is not None and version is not None:
        number, since = version
        last_good = f"the last good version ({number}, of {since:%Y-%m-%d %H:%M:%S}Z)"
        Output().note(f"{error_line(own)}; the run uses {last_good}")
    errors = [error for error in errors if error.path != file]
    likely = [error for error in errors if file is None and _mentions(settings, error, dag_id)]
    for error in likely:
        Output().note(error_line(error))
    paths = {error.path for error in errors} - {error.path for error in likely}
    if paths:
        noun = "other file" if likely else "file"
        Output().note(f"{counted(len(paths), noun)} cannot be imported; see `orch dags errors`")


def _mentions(settings: Settings, error: ImportErrorRow, dag_id: str) -> bool:
    """Return whether name or text of a broken file has the DAG's id."""
    if dag_id in error.path:
        return True
    path = settings.core.dags_folder / error.path
    try:
        if not path.is_file():
            return False  # a pipe would be waited for
        with path.open("rb") as file:
            return dag_id.encode() in file.read(LONGEST_TEXT)
    except OSError:
        return False


def _file_of(store: "Store", dag_id: str) -> str | None:
    try:
        with store.read() as tx:
            row = reading.find_dag(tx, dag_id)
    except NotFound:
        return None
    return None if row.is_missing else row.file
