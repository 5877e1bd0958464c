"""DAG files: what an import brings, what is remembered of each file, and why it cannot be imported."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from orch.clock import from_micros
from orch.domain.dagspec import DagSpec
from orch.store.reader import ReadTx


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One reason why a file cannot be used."""

    message: str
    line: int | None = None
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class DagLimits:
    """The limits of DAGs that do not name their own."""

    max_active_tasks: int = 16
    max_active_runs: int = 16


@dataclass(frozen=True, slots=True)
class ParsedDag:
    """One DAG as its file declares it now."""

    spec: DagSpec
    structure: str
    """The canonical JSON of `spec`."""
    structure_hash: str

    @classmethod
    def of(cls, spec: DagSpec) -> "ParsedDag":
        """Serialise a spec."""
        return cls(spec, spec.to_json(), spec.structure_hash)


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """One file as it was imported; with problems, its DAGs stay as they were."""

    path: str
    """Relative to the dags folder."""
    content_hash: str
    """Of the file and all that its import used: the source revision of its DAGs."""
    stat_key: str = ""
    """Empty while the file is too young to be recognised by a look."""
    sources: tuple[str, ...] = ()
    dags: tuple[ParsedDag, ...] = ()
    problems: tuple[FileProblem, ...] = ()
    seconds: float = 0.0
    stored_ahead: tuple[str, ...] = ()
    """Ids of further DAGs of the file, which earlier transactions have registered."""
    default_limits: DagLimits = DagLimits()
    digests: Mapping[str, str] = field(default_factory=dict)
    """Path of each source → digest; `content_hash` is their hash."""

    @property
    def dag_ids(self) -> list[str]:
        """The ids of all DAGs that the file declares, sorted."""
        return sorted([*self.stored_ahead, *(dag.spec.dag_id for dag in self.dags)])


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What the store remembers of a file."""

    path: str
    content_hash: str
    stat_key: str
    sources: tuple[str, ...]
    dag_ids: tuple[str, ...]
    is_broken: bool


@dataclass(frozen=True, slots=True)
class ImportErrorRow:
    """One stored problem of a file, since when it is there, with its traceback."""

    path: str
    line: int | None
    message: str
    traceback: str
    created_at: datetime


def known_files(tx: ReadTx) -> list[KnownFile]:
    """Return all registered files by path."""
    rows = tx.rows(
        """
        SELECT f.path, f.content_hash, f.stat_key, f.modules, f.dag_ids,
          EXISTS (SELECT 1 FROM import_error e WHERE e.path = f.path)
        FROM dag_file f ORDER BY f.path
        """
    )
    return [
        KnownFile(path, content_hash, key, tuple(json.loads(modules)), tuple(json.loads(ids)), bool(broken))
        for path, content_hash, key, modules, ids, broken in rows
    ]


def import_errors(tx: ReadTx) -> list[ImportErrorRow]:
    """Return the stored problems with their tracebacks, by path."""
    rows = tx.rows("SELECT path, line, message, traceback, created_at FROM import_error ORDER BY path, id")
    return [
        ImportErrorRow(path, line, message, trace, from_micros(at)) for path, line, message, trace, at in rows
    ]
