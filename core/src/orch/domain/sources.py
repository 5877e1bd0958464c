"""Sources: how stored code is named - by hashes of paths and contents, the same on every host."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

PYTHON = ".py"
LARGEST_PYTHON = 32 * 1024 * 1024
"""A larger Python file is neither imported nor stored."""

MISSING = "missing"
"""Digest of a source that does not exist or cannot be read."""

ALIAS = "alias:"
"""Begins the entry of a folder in a bundle that is a second path to another folder of it."""


def content_hash(digests: Mapping[str, str]) -> str:
    """Return the source revision: the hash of all sources of a DAG file, by their paths and contents."""
    return hash_of_values(digests)


def hash_of_values(values: Mapping[str, str]) -> str:
    """Return one hash of all names and values, whatever their order."""
    return digest_text("".join(f"{name}\0{value}\n" for name, value in sorted(values.items())))


def digest_text(text: str) -> str:
    """Return the SHA-256 of a text."""
    return digest_bytes(text.encode("utf-8", "surrogateescape"))


def digest_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def bundle_text(files: Mapping[str, str]) -> str:
    """Return the canonical JSON of a bundle: relative path -> content hash, or `alias:` and the other path."""
    return json.dumps(files, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def is_alias(entry: str) -> bool:
    """Return whether an entry of a bundle stands for a second path to a folder."""
    return entry.startswith(ALIAS)


def blobs_of(files: Mapping[str, str]) -> set[str]:
    """Return the content hashes that a bundle needs."""
    return {digest for digest in files.values() if not is_alias(digest)}


def fits(sources: Mapping[str, str], digests: Mapping[str, str]) -> bool:
    """Return whether these sources are, by path and content, in a folder with these digests."""
    return all(digests.get(path, MISSING) == digest for path, digest in sources.items())


@dataclass(frozen=True, slots=True)
class PinRule:
    """Which files of the dags folder are stored whether or not an import used them."""

    suffixes: tuple[str, ...] = ()
    """Of small files that tasks use like code, such as `.sql`."""
    max_bytes: int = 1_048_576
    """Larger files are not stored, but for Python files."""

    def covers(self, name: str, size: int) -> bool:
        """Return whether a regular file of this name and size is stored."""
        if name.endswith(PYTHON):
            return size <= LARGEST_PYTHON
        return size <= self.max_bytes and name.endswith(self.suffixes)
