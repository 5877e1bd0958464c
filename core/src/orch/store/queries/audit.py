"""The audit: one row for each thing that somebody asked for, done or refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orch.clock import from_micros
from orch.store.engine import Tx
from orch.store.tables import audit


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
    values = {
        "at": tx.now,
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target,
        "result": entry.result,
        "detail": json.dumps(dict(entry.detail), sort_keys=True),
    }
    tx.conn.execute(sa.insert(audit).values(values))


def newest(tx: Tx, limit: int = 100) -> list[tuple[datetime, Entry]]:
    """Return the newest rows, newest first."""
    rows = tx.conn.execute(sa.select(audit).order_by(audit.c.id.desc()).limit(limit))
    return [
        (
            from_micros(row.at),
            Entry(row.actor, row.action, row.target, row.result, json.loads(row.detail)),
        )
        for row in rows
    ]
