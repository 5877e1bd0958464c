"""The audit: one row for each thing that somebody asked for, done or refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orch.clock import from_micros
from orch.store.engine import Tx
from orch.store.reader import ReadTx


@dataclass(frozen=True, slots=True)
class Entry:
    """What is written of one request; `detail` holds no secret value."""

    actor: str
    action: str
    target: str
    result: str
    """`done` or `refused`."""
    detail: Mapping[str, Any] = field(default_factory=dict)


def record(tx: Tx, entry: Entry) -> None:
    """Add one row with the time of this transaction."""
    detail = json.dumps(dict(entry.detail), sort_keys=True)
    tx.many(
        "INSERT INTO audit (at, actor, action, target, result, detail) VALUES (?, ?, ?, ?, ?, ?)",
        [(tx.now, entry.actor, entry.action, entry.target, entry.result, detail)],
    )


def newest(tx: ReadTx, limit: int = 100) -> list[tuple[datetime, Entry]]:
    """Return the newest rows, newest first."""
    rows = tx.rows(
        "SELECT at, actor, action, target, result, detail FROM audit ORDER BY id DESC LIMIT ?", (limit,)
    )
    return [
        (from_micros(at), Entry(actor, action, target, result, json.loads(detail)))
        for at, actor, action, target, result, detail in rows
    ]
