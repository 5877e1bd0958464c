"""Findings: a broken promise, and how a query becomes one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from orch.store.engine import Tx


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise: which invariant, what is wrong, and where."""

    invariant: str
    message: str
    ids: tuple[int | str, ...] = ()


Check = Callable[[Tx], Iterable[Finding]]


def findings(
    tx: Tx, invariant: str, message: str, sql: str, parameters: tuple[Any, ...] = ()
) -> list[Finding]:
    """Return a finding for each row of `sql`; the columns fill the message."""
    return [Finding(invariant, message.format(*row), tuple(row)) for row in tx.rows(sql, parameters)]
