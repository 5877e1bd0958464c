"""What must hold of stored code: I21 - a version never changes, and every run has the code of its version."""

import json
from collections.abc import Iterable
from functools import cache

from orch.domain.sources import blobs_of, content_hash, digest_bytes, digest_text, is_alias
from orch.store.engine import Tx
from orch.store.verify import rows
from orch.store.verify.findings import Finding, findings


def code_is_pinned(tx: Tx) -> Iterable[Finding]:
    """I21: versions and contents have their hashes; what a run or DAG runs is stored, and is what it was made of."""
    yield from rows.versions_are_pinned(tx)
    yield from _contents_hold(tx)
    for table, name in (("dag", "dag_id"), ("dag_run", "run_id"), ("dag_revision", "source_rev")):
        yield from findings(
            tx, "I21", f"{table} {{1}} has bundle {{2}}, which is not stored",
            f"SELECT t.id, t.{name}, t.bundle_id FROM {table} t LEFT JOIN bundle b ON b.id = t.bundle_id"
            " WHERE t.bundle_id IS NOT NULL AND b.id IS NULL",
        )  # fmt: skip
    yield from _code_fits(tx)


def _contents_hold(tx: Tx) -> Iterable[Finding]:
    stored = set()
    for hash_, content in tx.driver.execute(
        "SELECT hash, content FROM blob"
    ):  # one at a time: it may be much
        stored.add(hash_)
        if digest_bytes(content) != hash_:
            yield Finding("I21", f"stored content {hash_[:12]} is not what was stored", (hash_,))
    for bundle_id, hash_, files in tx.rows("SELECT id, hash, files FROM bundle"):
        if digest_text(files) != hash_:
            yield Finding("I21", f"bundle {bundle_id} is not what was stored", (bundle_id,))
        elif missing := blobs_of(json.loads(files)) - stored:
            yield Finding("I21", f"bundle {bundle_id} lacks {len(missing)} of its contents", (bundle_id,))


def _code_fits(tx: Tx) -> Iterable[Finding]:
    """The source revision of whoever has a bundle is that of the sources as they are in the bundle."""

    @cache
    def files_of(bundle_id: int) -> dict[str, str]:
        found = tx.rows("SELECT files FROM bundle WHERE id = ?", (bundle_id,))
        return json.loads(found[0][0]) if found else {}

    for dag_id, source_rev, bundle_id, sources in tx.rows(
        """
        SELECT DISTINCT d.dag_id, p.source_rev, p.bundle_id, v.sources FROM (
          SELECT id AS dag_pk, current_version_id AS version_id, source_rev, bundle_id FROM dag
          UNION SELECT dag_pk, dag_version_id, source_rev, bundle_id FROM dag_run
          UNION SELECT dag_pk, dag_version_id, source_rev, bundle_id FROM dag_revision
        ) p JOIN dag d ON d.id = p.dag_pk
        LEFT JOIN dag_revision v ON v.dag_pk = p.dag_pk AND v.dag_version_id = p.version_id
          AND v.source_rev = p.source_rev
        WHERE p.bundle_id IS NOT NULL
        """
    ):
        files = files_of(bundle_id)
        recorded = json.loads(sources or "{}").items()  # what is no file in the bundle, is not stored
        found = {
            path: digest if is_alias(held := files.get(path, digest)) else held for path, digest in recorded
        }
        if content_hash(found) != source_rev:
            text = f"DAG {dag_id}: bundle {bundle_id} does not have the sources of revision {source_rev[:12]}"
            yield Finding("I21", text, (dag_id, bundle_id))
