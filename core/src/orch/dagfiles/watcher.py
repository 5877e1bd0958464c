"""The watcher: makes a descriptor readable when DAG files may have changed. Only a hint; the walk decides."""

import contextlib
import logging
import os
from pathlib import Path, PurePath
from typing import Self

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from orch.dagfiles.discover import SUFFIX
from orch.dagfiles.ignore import IGNORE_FILE
from orch.dagfiles.sources import is_hidden

log = logging.getLogger("orch.dagfiles")

_CHANGES: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]


class FolderWatcher(FileSystemEventHandler):
    """Watches one folder in a thread of its own. When the system cannot do it, polling has to do."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._observer = Observer()
        self._watched: tuple[int, int] | None = None
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        self.attach()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the descriptor that is readable after a change, until `drain`."""
        return self._reader

    def attach(self) -> None:
        """Watch the folder that is there now; call it now and then, since a folder may be put in its place."""
        identity = self._identity()
        if identity == self._watched:
            return
        self._watched = identity
        self._stop()
        if identity is None:
            return
        try:
            self._observer = Observer()
            self._observer.schedule(self, str(self._folder), recursive=True, event_filter=_CHANGES)
            self._observer.start()
        except OSError as error:
            log.warning("%s cannot be watched (%s); changes are found by polling", self._folder, error)
        self._ring()

    def drain(self) -> bool:
        """Make the descriptor unreadable; return whether it was readable."""
        rang = False
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reader, 4096):
                rang = True
        return rang

    def close(self) -> None:
        """Stop watching."""
        self._stop()
        os.close(self._reader)
        os.close(self._writer)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Ring for what may add, change or remove a DAG file. Called in the thread of the observer."""
        if is_relevant(event):
            self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"!")

    def _stop(self) -> None:
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self._folder.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


def is_relevant(event: FileSystemEvent) -> bool:
    """Return whether the event is about a folder, a Python file or an ignore file.

    Data files are left to polling: tasks may write them beside the DAG files all the time.
    """
    paths = [PurePath(os.fsdecode(path)) for path in (event.src_path, event.dest_path) if path]
    return any(
        path.name == IGNORE_FILE
        or (not is_hidden(path.name) and (event.is_directory or path.suffix == SUFFIX))
        for path in paths
    )
