"""Bundles: stored states of the dags folder, which of them each DAG runs, and their contents."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from orch.domain.sources import blobs_of, fits
from orch.store.engine import Tx
from orch.store.reader import ReadTx, marks

_MOST_MARKS = 500


@dataclass(frozen=True, slots=True)
class TakenBundle:
    """A state of the dags folder as the DAG processor has found it."""

    hash: str
    text: str
    """Canonical JSON: relative path -> content hash."""
    digests: Mapping[str, str]
    """Path -> digest of everything in it, and of the sources that are not stored: listings, large files."""


def find(tx: ReadTx, hash_: str) -> int | None:
    """Return the id of a stored bundle."""
    rows = tx.rows("SELECT id FROM bundle WHERE hash = ?", (hash_,))
    return rows[0][0] if rows else None


def missing_blobs(tx: ReadTx, hashes: Collection[str]) -> set[str]:
    """Return those of the hashes whose content is not stored."""
    return set(hashes) - {
        found
        for some in _parts(hashes)
        for (found,) in tx.rows(f"SELECT hash FROM blob WHERE hash IN ({marks(some)})", some)
    }


def put_blobs(tx: Tx, contents: Mapping[str, bytes]) -> None:
    """Store contents by their hashes; those that are there stay."""
    tx.many(
        "INSERT INTO blob (hash, content, created_at) VALUES (?, ?, ?) ON CONFLICT (hash) DO NOTHING",
        [(hash_, content, tx.now) for hash_, content in contents.items()],
    )


def assign(tx: Tx, bundle: TakenBundle, dag_ids: Collection[str] | None = None) -> bool:
    """Have new runs of each DAG whose sources are those in the bundle run it; of these DAGs only, when named.

    The bundle is stored when a DAG needs it; one that no DAG, revision or run needs any more is deleted. Returns
    False, and changes nothing, while contents of the bundle are not stored.
    """
    fitting = _fitting(tx, bundle, dag_ids)
    if not fitting:
        return True
    if (bundle_id := find(tx, bundle.hash) or _put(tx, bundle)) is None:
        return False
    tx.many("UPDATE dag SET bundle_id = ? WHERE id = ?", [(bundle_id, dag_pk) for dag_pk, *_ in fitting])
    tx.many(
        "UPDATE dag_revision SET bundle_id = ? WHERE id = ? AND bundle_id IS NULL",
        [(bundle_id, revision) for _, _, revision, _ in fitting],
    )
    _drop_unused(tx, {former for _, former, _, _ in fitting} - {0})
    return True


def lagging(tx: ReadTx, bundle: TakenBundle) -> set[str]:
    """Return the DAGs whose sources are those in the bundle and whose new runs would get another one, or none."""
    return {dag_id for _, _, _, dag_id in _fitting(tx, bundle)}


def files_of(tx: ReadTx, hash_: str) -> dict[str, str] | None:
    """Return path -> content hash (or alias) of a bundle; None when it is not stored."""
    rows = tx.rows("SELECT files FROM bundle WHERE hash = ?", (hash_,))
    return json.loads(rows[0][0]) if rows else None


def contents(tx: ReadTx, hashes: Collection[str]) -> dict[str, bytes]:
    """Return the stored ones of these contents."""
    return {
        hash_: content
        for some in _parts(hashes)
        for hash_, content in tx.rows(f"SELECT hash, content FROM blob WHERE hash IN ({marks(some)})", some)
    }


def in_use(tx: ReadTx) -> set[str]:
    """Return the hashes of the bundles that open runs have, or that new runs would get."""
    rows = tx.rows(
        """
        SELECT hash FROM bundle WHERE id IN (SELECT bundle_id FROM dag WHERE NOT is_missing)
          OR id IN (SELECT bundle_id FROM dag_run WHERE state IN ('queued', 'running'))
        """
    )
    return {hash_ for (hash_,) in rows}


def _fitting(
    tx: ReadTx, bundle: TakenBundle, dag_ids: Collection[str] | None = None
) -> list[tuple[int, int, int, str]]:
    """Return (DAG, former bundle or 0, revision, DAG id) of the DAGs that should change to this bundle."""
    rows = tx.rows(
        """
        SELECT d.id, COALESCE(d.bundle_id, 0), v.id, d.dag_id, v.sources FROM dag d
        JOIN dag_revision v ON v.dag_pk = d.id AND v.dag_version_id = d.current_version_id
          AND v.source_rev = d.source_rev
        WHERE NOT d.is_missing AND COALESCE(d.bundle_id, 0) <> COALESCE((SELECT id FROM bundle WHERE hash = ?), -1)
        """,
        (bundle.hash,),
    )
    return [
        (dag_pk, former, revision, dag_id)
        for dag_pk, former, revision, dag_id, sources in rows
        if (dag_ids is None or dag_id in dag_ids) and fits(json.loads(sources), bundle.digests)
    ]


def _put(tx: Tx, bundle: TakenBundle) -> int | None:
    if missing_blobs(tx, blobs_of(json.loads(bundle.text))):
        return None
    tx.many(
        "INSERT INTO bundle (hash, files, created_at) VALUES (?, ?, ?) ON CONFLICT (hash) DO NOTHING",
        [(bundle.hash, bundle.text, tx.now)],
    )
    return find(tx, bundle.hash)


def _drop_unused(tx: Tx, bundle_ids: Iterable[int]) -> None:
    for bundle_id in bundle_ids:
        is_used = tx.rows(
            """
            SELECT 1 WHERE EXISTS (SELECT 1 FROM dag WHERE bundle_id = ?)
              OR EXISTS (SELECT 1 FROM dag_revision WHERE bundle_id = ?)
              OR EXISTS (SELECT 1 FROM dag_run WHERE bundle_id = ?)
            """,
            (bundle_id, bundle_id, bundle_id),
        )
        if not is_used:
            ((text,),) = tx.rows("SELECT files FROM bundle WHERE id = ?", (bundle_id,))
            tx.many("DELETE FROM bundle WHERE id = ?", [(bundle_id,)])
            _drop_blobs(tx, blobs_of(json.loads(text)))


def _drop_blobs(tx: Tx, hashes: Iterable[str]) -> None:
    """Delete contents that no bundle has. Mostly the first bundle that is looked at has them."""
    unused = [
        h for h in hashes if not tx.rows("SELECT 1 FROM bundle WHERE files LIKE ? LIMIT 1", (f"%{h}%",))
    ]
    tx.many("DELETE FROM blob WHERE hash = ?", [(hash_,) for hash_ in unused])


def _parts(hashes: Collection[str]) -> Iterable[tuple[str, ...]]:
    ordered = sorted(hashes)
    return (tuple(ordered[i : i + _MOST_MARKS]) for i in range(0, len(ordered), _MOST_MARKS))
