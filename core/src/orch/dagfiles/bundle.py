"""The bundle: a state of the dags folder as hashes, taken again only where a file looks different."""

import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from orch.dagfiles.discover import Found
from orch.dagfiles.sources import FileStat, are_settled, digest_file
from orch.domain.sources import ALIAS, MISSING, PinRule, bundle_text, digest_bytes, digest_text, is_alias
from orch.settings import Settings
from orch.store.queries.bundles import TakenBundle


@dataclass(frozen=True)
class Bundle:
    """What the pinned files contained at one moment, and the digests of sources that are not stored."""

    files: Mapping[str, str] = field(default_factory=dict)
    """Relative path → content hash; path of a second way to a folder → `alias:` and the first one."""
    others: Mapping[str, str] = field(default_factory=dict)
    """Source that an import used and that is not stored (a listing, a large or missing file) → digest."""

    @cached_property
    def taken(self) -> TakenBundle:
        """The bundle as the store takes it."""
        text = bundle_text(self.files)
        return TakenBundle(digest_text(text), text, self.digests)

    @cached_property
    def digests(self) -> dict[str, str]:
        """Path → digest of everything that is known of the folder."""
        return {**self.files, **self.others}

    @cached_property
    def paths(self) -> dict[str, str]:
        """Content hash → a file that has it."""
        return {hash_: path for path, hash_ in self.files.items() if not is_alias(hash_)}


def pin_rule(settings: Settings) -> PinRule:
    """Return what is stored by the settings."""
    return PinRule(settings.dagfiles.pinned_suffixes, settings.dagfiles.pinned_max_bytes)


class BundleTaker:
    """Takes bundles of one dags folder; remembers the digests of files that look as before."""

    def __init__(self, folder: Path, rule: PinRule, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._folder = folder
        self._rule = rule
        self._now_ns = now_ns
        self._known: dict[str, tuple[str, str]] = {}
        self._last = Bundle()

    def take(self, found: Found, used: Iterable[str]) -> Bundle:
        """Return the state of the folder: what the walk has found to be pinned, and the sources imports `used`.

        The same object comes back while nothing has changed.
        """
        now = self._now_ns()
        pinned = dict(found.pinned)
        others: dict[str, FileStat] = {}
        for path in set(used) - pinned.keys():
            look, is_pinned = self._look(path, found.aliases)
            (pinned if is_pinned else others)[path] = look
        files = {path: self._digest(path, look, now) for path, look in pinned.items()}
        files = {path: digest for path, digest in files.items() if digest != MISSING}
        files |= _aliases(found.aliases, files)
        rest = {path: self._digest(path, look, now) for path, look in others.items()}
        self._known = {path: self._known[path] for path in (*pinned, *others)}
        if (files, rest) != (self._last.files, self._last.others):
            self._last = Bundle(files, rest)
        return self._last

    def contents(self, bundle: Bundle, hashes: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield those of the contents that are still in the folder."""
        for hash_ in sorted(hashes):
            try:
                content = (self._folder / bundle.paths[hash_]).read_bytes()
            except OSError:
                continue
            if digest_bytes(content) == hash_:
                yield hash_, content

    def _look(self, path: str, aliases: Mapping[str, str]) -> tuple[FileStat, bool]:
        """Return how a source looks, and whether it is stored; that is so for small files, whatever their names."""
        try:
            status = (self._folder / path).stat()
        except (OSError, ValueError):
            return FileStat(MISSING), False
        look = FileStat.of(status)
        is_small = self._rule.covers(path, look.size) or look.size <= self._rule.max_bytes
        is_reached = not any(str(parent) in aliases for parent in PurePosixPath(path).parents)
        return look, stat.S_ISREG(status.st_mode) and is_small and is_reached and _is_utf8(path)

    def _digest(self, path: str, look: FileStat, now: int) -> str:
        key, digest = self._known.get(path, ("", ""))
        if not key or key != look.key:
            digest = MISSING if look.key == MISSING else digest_file(self._folder / path)
            self._known[path] = (look.key if are_settled([look], now) else "", digest)
        return digest


def _aliases(aliases: Mapping[str, str], files: Mapping[str, str]) -> dict[str, str]:
    """Return the aliases of folders that have pinned files; others are links to the live folder anyway."""
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents} if aliases else set()
    return {path: f"{ALIAS}{target}" for path, target in aliases.items() if (target or ".") in folders}


def _is_utf8(path: str) -> bool:
    try:
        os.fsencode(path).decode()
    except (UnicodeError, ValueError):
        return False
    return True
