"""Bundles laid out: stored states of the dags folder as folders that a host imports from, each made once."""

import errno
import logging
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from orch.domain.sources import ALIAS, PinRule, blobs_of, digest_bytes, is_alias
from orch.errors import OrchError
from orch.failpoints import Failpoints
from orch.worker.live_links import CACHE, LiveLinks

log = logging.getLogger("orch.worker")

KEPT = 8
"""So many layouts that no run needs are kept, those used last."""
MOST_BLOBS = 200
"""Contents that are read from the store at once."""
LEFTOVER_SECONDS = 3600.0
"""A folder that a worker has not finished for so long belongs to one that was killed."""

_FILE_MODE, _FOLDER_MODE = 0o555, 0o555
_BUILDING, _OLD, _STAYS = ".new-", ".old-", "kept-"


class BundleLost(OrchError):
    """The code that a run began with is not in the database; `orch db verify` tells more."""


class BundleSource(Protocol):
    """Where stored states come from: the store."""

    def bundle_files(self, bundle: str) -> dict[str, str] | None:
        """Return path -> content hash (or alias)."""
        ...

    def blobs(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """Return contents by their hashes."""
        ...

    def bundles_in_use(self) -> set[str]:
        """Return the bundles that must stay laid out."""
        ...


class Bundles:
    """The layouts of one home. Any number of workers may share it: each step is atomic or made again."""

    def __init__(
        self, folder: Path, dags_folder: Path, rule: PinRule, source: BundleSource, failpoints: Failpoints
    ) -> None:
        self._folder = folder
        self._blobs = folder / "blobs"
        self._links = LiveLinks(dags_folder, rule, _FOLDER_MODE)
        self._source = source
        self._failpoints = failpoints

    def path_of(self, bundle: str) -> Path:
        """Return where a bundle is laid out, or will be."""
        return self._folder / bundle

    def lay_out(self, bundle: str) -> Path:
        """Return the folder of a bundle, with every stored file in it as it was stored.

        A layout that is there is compared with the hashes, and made again when it differs. Raises OSError when
        there is no room, BundleLost when the store lacks something, and what else the store raises.
        """
        files = self._source.bundle_files(bundle)
        if files is None:
            raise BundleLost(f"the stored state {bundle[:12]} of the dags folder is not in the database")
        final = self.path_of(bundle)
        if not self._is_whole(final, files):
            self._make(final, files)
            self._prune({bundle, *self._source.bundles_in_use()})
            self._links.forget(final)
        with suppress(OSError):
            os.utime(final)
        self.refresh(bundle)
        return final

    def refresh(self, bundle: str) -> None:
        """Let tasks of a bundle that is laid out see the data that has come or gone since; never new code."""
        self._links.refresh(self.path_of(bundle))

    def _make(self, final: Path, files: Mapping[str, str]) -> None:
        building = self._folder / f"{_BUILDING}{secrets.token_hex(4)}-{final.name}"
        self._fetch(blobs_of(files))
        building.mkdir(mode=0o700)
        for path, hash_ in sorted(files.items()):
            if not is_alias(hash_):
                self._place(building / path, hash_)
        for path, hash_ in sorted(files.items()):
            if is_alias(hash_):
                _link_alias(building, path, hash_.removeprefix(ALIAS))
        for folder in _folders(building):
            self._links.make(building, folder)
            folder.chmod(_FOLDER_MODE)
        self._failpoints.hit("layout.before_rename")
        self._put_in_place(building, final)

    def _put_in_place(self, building: Path, final: Path) -> None:
        """Give the new layout its name; what had it is set aside, since tasks may be using it."""
        while True:
            try:
                building.rename(final)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
                with suppress(FileNotFoundError):
                    final.rename(self._folder / f"{_OLD}{time.time_ns()}-{final.name}")
            else:
                return

    def _fetch(self, hashes: Iterable[str]) -> None:
        """Have each content as a file; one that is damaged is written anew."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._blobs.mkdir(mode=0o700, exist_ok=True)
        missing = sorted(hash_ for hash_ in hashes if not _has(self._blobs / hash_, hash_))
        for start in range(0, len(missing), MOST_BLOBS):
            part = missing[start : start + MOST_BLOBS]
            contents = self._source.blobs(part)
            for hash_ in part:
                if hash_ not in contents or digest_bytes(contents[hash_]) != hash_:
                    raise BundleLost(
                        f"the stored content {hash_[:12]} of a DAG's code is not in the database"
                    )
                self._write(hash_, contents[hash_])

    def _write(self, hash_: str, content: bytes) -> None:
        new = self._blobs / f"{_BUILDING}{secrets.token_hex(4)}-{hash_}"
        new.write_bytes(content)
        new.chmod(_FILE_MODE)
        new.rename(self._blobs / hash_)

    def _place(self, path: Path, hash_: str) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.link(self._blobs / hash_, path)
        except FileNotFoundError:  # another worker has just cleaned up
            self._fetch([hash_])
            os.link(self._blobs / hash_, path)
        except OSError:  # no hard links here, or too many of them
            shutil.copyfile(self._blobs / hash_, path)
            path.chmod(_FILE_MODE)

    def _is_whole(self, layout: Path, files: Mapping[str, str]) -> bool:
        if not layout.is_dir():
            return False
        return all(
            (layout / path).is_symlink() if is_alias(hash_) else _has(layout / path, hash_)
            for path, hash_ in files.items()
        )

    def _prune(self, needed: set[str]) -> None:
        """Remove layouts that nobody needs, and what killed workers have left behind."""
        layouts, leftovers = [], []
        now = time.time()
        with suppress(OSError):
            for path in self._folder.iterdir():
                age = now - path.lstat().st_mtime
                if path.name.startswith((_BUILDING, _OLD)):
                    leftovers += [path] if age > LEFTOVER_SECONDS else []
                elif path != self._blobs and path.name not in needed and not path.name.startswith(_STAYS):
                    layouts.append((age, path))
            for _, path in sorted(layouts)[KEPT:]:
                leftovers.append(path.rename(self._folder / f"{_OLD}{time.time_ns()}-{path.name}"))
            for path in leftovers:
                _discard(path)
            for path in self._blobs.iterdir():
                found = path.stat()
                if found.st_nlink == 1 and now - found.st_ctime > LEFTOVER_SECONDS:
                    path.unlink()


def _has(path: Path, hash_: str) -> bool:
    """Return whether the file is there, a regular one, with this content."""
    try:
        return not path.is_symlink() and digest_bytes(path.read_bytes()) == hash_
    except OSError:
        return False


def _link_alias(layout: Path, path: str, target: str) -> None:
    link = layout / path
    if (layout / target).is_dir() and not link.exists():
        link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(layout / target, link.parent), target_is_directory=True)


def _folders(layout: Path) -> list[Path]:
    return [Path(folder) for folder, _, _ in os.walk(layout)]


def _discard(layout: Path) -> None:
    """Remove a layout, unless a task that may write anywhere has put a file of its own there."""
    if strays := list(_strays(layout)):
        kept = layout.rename(layout.with_name(f"{_STAYS}{layout.name.lstrip('.')}"))
        log.warning("a task has written %s beside its stored code; it is in %s now", strays[0].name, kept)
        return
    _remove(layout)


def _strays(layout: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(layout):
        if Path(folder).name != CACHE:
            paths = (Path(folder, name) for name in names)
            yield from (
                path for path in paths if stat.S_IMODE(path.lstat().st_mode) not in (_FILE_MODE, 0o777)
            )


def _remove(layout: Path) -> None:
    """Remove a folder that is read-only."""
    for folder in _folders(layout):
        folder.chmod(0o700)
    if layout.exists():
        shutil.rmtree(layout)
