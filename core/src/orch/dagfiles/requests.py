"""Requests: what the stem is told at its start and for each import, and what it answers; one JSON line each."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

OWN_FAILURE = 70
"""Exit code of an import's process when orch itself failed in it (EX_SOFTWARE)."""


@dataclass(frozen=True, slots=True)
class StemConfig:
    """What holds for all imports of one stem."""

    folder: str
    """The dags folder, absolute."""
    timeout_seconds: float
    memory_mb: int
    preload: tuple[str, ...] = ()
    """Modules that many DAG files import, such as those of operators."""
    providers: dict[str, str] = field(default_factory=dict)
    """Import package → how to get it, of the providers that exist, installed or not."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """Import this file; a descriptor for the result comes with the message."""

    id: int
    path: str


@dataclass(frozen=True, slots=True)
class ImportEnded:
    """The process of an import is gone; its result, if there is one, is in the descriptor of the request."""

    id: int
    code: int
    """Exit code, or minus the signal that killed it."""
    timed_out: bool
    output: str


def to_line(message: StemConfig | ImportRequest | ImportEnded) -> bytes:
    """Return the message as one line."""
    return json.dumps(asdict(message)).encode() + b"\n"


class Lines:
    """Puts the pieces of a stream together again."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """Add what was received; yield the messages that are complete."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            yield json.loads(line)
