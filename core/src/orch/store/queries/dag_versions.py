"""Versions of DAGs as people read them: each structure that a DAG has had, its sources, and who runs it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orch.clock import from_micros
from orch.domain.dagspec import DagSpec
from orch.errors import NotFound
from orch.store.queries import reading
from orch.store.reader import ReadTx


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of the sources that gave a version."""

    source_rev: str
    file: str
    created_at: datetime
    sources: dict[str, str]
    """Path → digest of the file and all that its import used."""
    is_stored: bool
    """Whether the code itself is stored."""


@dataclass(frozen=True, slots=True)
class Version:
    """One structure that a DAG has, or has had."""

    number: int
    structure_hash: str
    created_at: datetime
    spec: DagSpec
    is_current: bool
    """Whether new runs get it."""
    runs: int
    open_runs: int
    revisions: tuple[Revision, ...]
    """Oldest first; none for a version that only a release without stored sources has seen."""
    current_rev: str | None
    """The source revision of new runs, of the current version."""


def list_versions(tx: ReadTx, dag_id: str) -> list[Version]:
    """Return all versions of a DAG by number; NotFound, with a hint, when the DAG is unknown."""
    dag = reading.find_dag(tx, dag_id)
    ((current_rev,),) = tx.rows("SELECT source_rev FROM dag WHERE id = ?", (dag.dag_pk,))
    counts = {
        version_id: (runs, open_runs)
        for version_id, runs, open_runs in tx.rows(
            """
            SELECT dag_version_id, COUNT(*), SUM(CASE WHEN state IN ('queued', 'running') THEN 1 ELSE 0 END)
            FROM dag_run WHERE dag_pk = ? GROUP BY dag_version_id
            """,
            (dag.dag_pk,),
        )
    }
    rows = tx.rows(
        "SELECT id, number, structure_hash, structure, created_at FROM dag_version WHERE dag_pk = ? ORDER BY number",
        (dag.dag_pk,),
    )
    return [
        Version(
            number,
            structure_hash,
            from_micros(created_at),
            DagSpec.from_json(structure),
            version_id == dag.current_version_id,
            *counts.get(version_id, (0, 0)),
            _revisions(tx, version_id),
            current_rev if version_id == dag.current_version_id else None,
        )
        for version_id, number, structure_hash, structure, created_at in rows
    ]


def pick(versions: Sequence[Version], dag_id: str, number: int) -> Version:
    """Return the version of this number; NotFound, with the numbers there are, when there is none."""
    found = next((version for version in versions if version.number == number), None)
    if found is None:
        numbers = f"versions 1 to {len(versions)}" if len(versions) > 1 else "version 1 only"
        raise NotFound(f"DAG {dag_id!r} has no version {number}; it has {numbers}")
    return found


def last_good(tx: ReadTx, dag_id: str) -> tuple[int, datetime] | None:
    """Return number and time of the version that new runs get; None for an unknown DAG, or without stored code."""
    rows = tx.rows(
        "SELECT v.number, v.created_at FROM dag d JOIN dag_version v ON v.id = d.current_version_id"
        " WHERE d.dag_id = ? AND d.bundle_id IS NOT NULL AND NOT d.is_missing",
        (dag_id,),
    )
    return (rows[0][0], from_micros(rows[0][1])) if rows else None


def content_of(tx: ReadTx, digest: str) -> bytes | None:
    """Return a stored content; None when it is not stored."""
    rows = tx.rows("SELECT content FROM blob WHERE hash = ?", (digest,))
    return rows[0][0] if rows else None


def _revisions(tx: ReadTx, version_id: int) -> tuple[Revision, ...]:
    rows = tx.rows(
        "SELECT source_rev, file, created_at, sources, bundle_id FROM dag_revision WHERE dag_version_id = ?"
        " ORDER BY id",
        (version_id,),
    )
    return tuple(
        Revision(source_rev, file, from_micros(at), json.loads(sources), bundle_id is not None)
        for source_rev, file, at, sources, bundle_id in rows
    )
