"""Registration: writes what was imported, so that DAGs, versions, limits and schedules are as the files say."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from orch.clock import isoformat
from orch.domain.cron import DstRule
from orch.domain.dagspec import DagSpec
from orch.domain.timetables import follows_end
from orch.store.engine import Tx
from orch.store.queries import bundles, lanes, limits, pauses
from orch.store.queries.bundles import TakenBundle
from orch.store.queries.cursors import UNKNOWN
from orch.store.queries.dag_files import DagLimits, ParsedDag, ParsedFile
from orch.store.reader import ReadTx


def register_files(tx: Tx, files: Sequence[ParsedFile], bundle: TakenBundle | None = None) -> list[str]:
    """Store what was imported; return the ids of the DAGs that are new, changed, back or missing now.

    A file with problems keeps its DAGs as they were. A DAG that its file declares no more is missing, unless
    another file has it. Registering the same again changes nothing. With `bundle`, whose contents are stored
    already, new runs of the DAGs that fit it run it.
    """
    changed: list[str] = []
    for file in files:
        if not file.problems:
            changed += register_dags(tx, file, file.dags)
    for file in files:
        _replace_problems(tx, file)
        if not file.problems:
            changed += _mark_missing(tx, file.path, keep=file.dag_ids)
        _store_file(tx, file)
    if bundle is not None:
        bundles.assign(tx, bundle, {dag_id for file in files if not file.problems for dag_id in file.dag_ids})
    return changed


def register_dags(tx: Tx, file: ParsedFile, dags: Iterable[ParsedDag]) -> list[str]:
    """Store some DAGs of a file: rows, versions, limits, schedule cursors; return the ids of those that changed.

    `register_files` does it for all; a file with very many is spread over several transactions with this.
    """
    return [dag.spec.dag_id for dag in dags if _register_dag(tx, file, dag)]


def outdated_limits(tx: ReadTx, default: DagLimits) -> list[tuple[str, str, int]]:
    """Return (kind, dag id, size) where a DAG names no limit of its own and has another one than the settings say."""
    return [
        (kind, dag_id, size)
        for kind, column, size in (
            ("dag_tasks", "max_active_tasks", default.max_active_tasks),
            ("dag_runs", "max_active_runs", default.max_active_runs),
        )
        for (dag_id,) in tx.rows(
            "SELECT d.dag_id FROM dag d JOIN limit_row l ON l.kind = ? AND l.name = d.dag_id"
            f" WHERE d.{column} IS NULL AND l.size <> ?",
            (kind, size),
        )
    ]


def set_limits(tx: Tx, sizes: Iterable[tuple[str, str, int]]) -> None:
    """Set these limits: (kind, name, size)."""
    for kind, name, size in sizes:
        limits.set_size(tx, kind, name, size)


def store_stat_keys(tx: Tx, keys: Mapping[str, str]) -> None:
    """Remember how unchanged files look now."""
    tx.many("UPDATE dag_file SET stat_key = ? WHERE path = ?", [(key, path) for path, key in keys.items()])


def forget_files(tx: Tx, paths: Sequence[str]) -> list[str]:
    """Drop files that are gone; their DAGs become missing but keep their runs. Return the ids of those DAGs."""
    missing: list[str] = []
    for path in paths:
        missing += _mark_missing(tx, path, keep=())
        tx.many("DELETE FROM import_error WHERE path = ?", [(path,)])
        tx.many("DELETE FROM dag_file WHERE path = ?", [(path,)])
    return missing


_DAG_COLUMNS = (
    "file, description, schedule, tags, owner, is_missing, max_active_runs, max_active_tasks,"
    " current_version_id, source_rev"
)


_HAS_REVISION = """
EXISTS (SELECT 1 FROM dag_revision v WHERE v.dag_pk = dag.id AND v.dag_version_id = dag.current_version_id
  AND v.source_rev = dag.source_rev)
"""
"""False also for a DAG that a release without stored sources has registered."""


def _register_dag(tx: Tx, file: ParsedFile, dag: ParsedDag) -> bool:
    spec = dag.spec
    rows = tx.rows(f"SELECT id, {_HAS_REVISION}, {_DAG_COLUMNS} FROM dag WHERE dag_id = ?", (spec.dag_id,))
    dag_pk = rows[0][0] if rows else _insert_dag(tx, file, spec)
    version_id = _version(tx, dag_pk, dag)
    wanted = _dag_values(file, spec, version_id)
    if rows and rows[0][1:] == (True, *wanted):
        return False
    assignments = ", ".join(f"{column.strip()} = ?" for column in _DAG_COLUMNS.split(","))
    tx.many(f"UPDATE dag SET {assignments}, updated_at = ? WHERE id = ?", [(*wanted, tx.now, dag_pk)])
    if not rows or (rows[0][1], *rows[0][-2:]) != (True, *wanted[-2:]):
        _revise(tx, dag_pk, version_id, file)
    default = file.default_limits
    limits.set_size(tx, "dag_tasks", spec.dag_id, spec.max_active_tasks or default.max_active_tasks)
    limits.set_size(tx, "dag_runs", spec.dag_id, spec.max_active_runs or default.max_active_runs)
    lanes.set_task_limits(tx, dag_pk, spec)
    _set_cursor(tx, dag_pk, spec)
    return True


def _insert_dag(tx: Tx, file: ParsedFile, spec: DagSpec) -> int:
    tx.many(
        "INSERT INTO dag (dag_id, file, is_paused, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
        [(spec.dag_id, file.path, spec.is_paused_upon_creation, tx.now, tx.now)],
    )
    if spec.is_paused_upon_creation:
        pauses.note(tx, spec.dag_id, is_paused=True)
    ((dag_pk,),) = tx.rows("SELECT id FROM dag WHERE dag_id = ?", (spec.dag_id,))
    return int(dag_pk)


def _dag_values(file: ParsedFile, spec: DagSpec, version_id: int) -> tuple[object, ...]:
    owners = sorted({task.owner for task in spec.tasks if task.owner})
    return (
        file.path, spec.description, spec.schedule, json.dumps(spec.tags), ", ".join(owners), False,
        spec.max_active_runs, spec.max_active_tasks, version_id, file.content_hash,
    )  # fmt: skip


def _version(tx: Tx, dag_pk: int, dag: ParsedDag) -> int:
    """Return the version with this structure; the same structure is the same version, also after a detour."""
    find = "SELECT id FROM dag_version WHERE dag_pk = ? AND structure_hash = ?"
    rows = tx.rows(find, (dag_pk, dag.structure_hash))
    if not rows:
        tx.many(
            """
            INSERT INTO dag_version (dag_pk, number, structure_hash, structure, created_at)
            SELECT ?, COALESCE(MAX(number), 0) + 1, ?, ?, ? FROM dag_version WHERE dag_pk = ?
            """,
            [(dag_pk, dag.structure_hash, dag.structure, tx.now, dag_pk)],
        )
        rows = tx.rows(find, (dag_pk, dag.structure_hash))
    return int(rows[0][0])


def _revise(tx: Tx, dag_pk: int, version_id: int, file: ParsedFile) -> None:
    """Note which sources made this version; new runs get a bundle that is known to have them, if there is one."""
    tx.many(
        """
        INSERT INTO dag_revision (dag_pk, dag_version_id, source_rev, file, sources, created_at)
        VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (dag_pk, dag_version_id, source_rev) DO NOTHING
        """,
        [
            (
                dag_pk,
                version_id,
                file.content_hash,
                file.path,
                json.dumps(dict(file.digests), sort_keys=True),
                tx.now,
            )
        ],
    )
    tx.many(
        """
        UPDATE dag SET bundle_id = (SELECT v.bundle_id FROM dag_revision v WHERE v.dag_pk = dag.id
          AND v.dag_version_id = dag.current_version_id AND v.source_rev = dag.source_rev) WHERE id = ?
        """,
        [(dag_pk,)],
    )


def _set_cursor(tx: Tx, dag_pk: int, spec: DagSpec) -> None:
    """Have the scheduler compute the next tick when the schedule is new or another one; else leave it alone."""
    schedule_hash = _schedule_hash(spec)
    next_tick_at = None if spec.schedule is None and spec.timetable is None else UNKNOWN
    rows = tx.rows("SELECT schedule_hash FROM schedule_cursor WHERE dag_pk = ?", (dag_pk,))
    if not rows:
        tx.many(
            "INSERT INTO schedule_cursor (next_tick_at, schedule_hash, changed_at, follows_end, dag_pk)"
            " VALUES (?, ?, ?, ?, ?)",
            [(next_tick_at, schedule_hash, tx.now, follows_end(spec), dag_pk)],
        )
    elif rows[0][0] != schedule_hash:
        tx.many(
            "UPDATE schedule_cursor SET next_tick_at = ?, schedule_hash = ?, changed_at = ?, follows_end = ?,"
            " since_tick_at = NULL WHERE dag_pk = ?",
            [(next_tick_at, schedule_hash, tx.now, follows_end(spec), dag_pk)],
        )


def _schedule_hash(spec: DagSpec) -> str:
    """Return a hash of all that decides when runs are due; words for people and the jitter play no part."""
    facts: list[object] = [
        spec.schedule if spec.timetable is None else None, spec.timezone, isoformat(spec.start_date),
        isoformat(spec.end_date), spec.catchup,
    ]  # fmt: skip
    if spec.timetable is not None or spec.dst != DstRule.VIXIE:
        # Left out otherwise: schedules that were stored before there were these keep their hash.
        facts += [spec.dst, spec.timetable and [spec.timetable.kind, dict(spec.timetable.arguments)]]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _replace_problems(tx: Tx, file: ParsedFile) -> None:
    """Store the problems of a file; those it had before keep their time."""
    rows = tx.rows(
        "SELECT message, line, traceback FROM import_error WHERE path = ? ORDER BY id", (file.path,)
    )
    wanted = [(problem.message, problem.line, problem.traceback) for problem in file.problems]
    if rows == wanted:
        return
    tx.many("DELETE FROM import_error WHERE path = ?", [(file.path,)])
    tx.many(
        "INSERT INTO import_error (path, message, line, traceback, created_at) VALUES (?, ?, ?, ?, ?)",
        [(file.path, *problem, tx.now) for problem in wanted],
    )


def _mark_missing(tx: Tx, path: str, keep: Iterable[str]) -> list[str]:
    rows = tx.rows("SELECT dag_id FROM dag WHERE file = ? AND NOT is_missing", (path,))
    missing = sorted({dag_id for (dag_id,) in rows} - set(keep))
    tx.many(
        "UPDATE dag SET is_missing = ?, updated_at = ? WHERE dag_id = ?",
        [(True, tx.now, dag_id) for dag_id in missing],
    )
    return missing


def _store_file(tx: Tx, file: ParsedFile) -> None:
    """A broken file keeps the ids of the DAGs it last brought: they are live still."""
    dag_ids = "[]" if file.problems else json.dumps(file.dag_ids)
    tx.many(
        f"""
        INSERT INTO dag_file (path, content_hash, stat_key, modules, dag_ids, parsed_at, parse_seconds)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (path) DO UPDATE SET content_hash = excluded.content_hash, stat_key = excluded.stat_key,
          modules = excluded.modules, parsed_at = excluded.parsed_at, parse_seconds = excluded.parse_seconds
          {"" if file.problems else ", dag_ids = excluded.dag_ids"}
        """,
        [
            (file.path, file.content_hash, file.stat_key, json.dumps(file.sources),
             dag_ids, tx.now, file.seconds)
        ],
    )  # fmt: skip
