"""What the import of one DAG file brings: DAGs or problems, and the sources it depends on."""

import json
import re
from dataclasses import asdict, dataclass, field

MAX_RESULT_BYTES = 64 * 1024 * 1024
MAX_MESSAGE = 2_000
MAX_TRACEBACK = 32_000
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ImportProblem:
    """One reason why a DAG file cannot be used."""

    message: str
    line: int | None = None
    """The line in the DAG file itself, when one is to blame."""
    traceback: str = ""
    """The frames of user code, and what the import printed."""

    @classmethod
    def of(cls, message: str, line: int | None = None, traceback: str = "") -> "ImportProblem":
        """Return a problem that any database can store: capped, without NUL and lone surrogates."""
        return cls(_storable(message, MAX_MESSAGE), line, _storable(traceback, MAX_TRACEBACK))


@dataclass(frozen=True, slots=True)
class ImportedDag:
    """One DAG that the file declares."""

    dag_id: str
    spec: str
    """Canonical JSON of its DagSpec."""
    structure_hash: str


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The outcome for one file; with a problem, none of its DAGs may be used."""

    path: str
    """Relative to the dags folder."""
    dags: tuple[ImportedDag, ...] = ()
    problems: tuple[ImportProblem, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)
    """Relative path → digest of everything below the dags folder that the import used, the file included."""
    seconds: float = 0.0
    misses_module: bool = False
    """A module was not found: another file or an installation may cure it."""
    strays: tuple[str, ...] = ()
    """What to mend when the file declares no DAG though it seems to want one; it is no problem of its own."""
    stat_key: str = ""
    """How the sources looked when the result arrived; empty when they changed too recently to trust that."""

    @property
    def finding(self) -> str | None:
        """`x.py declares no DAG: ...` when it looks as if its author meant to."""
        return f"{self.path} declares no DAG: {'; '.join(self.strays[:3])}" if self.strays else None

    def to_json(self) -> str:
        """Return the result as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: bytes) -> "ImportResult":
        """Read what `to_json` wrote; raise ValueError for anything else."""
        try:
            body = json.loads(text)
            dags = tuple(ImportedDag(**raw) for raw in body.pop("dags"))
            problems = tuple(ImportProblem(**raw) for raw in body.pop("problems"))
            strays = tuple(body.pop("strays"))
            return cls(dags=dags, problems=problems, strays=strays, **body)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not an import result: {error}") from error


def _storable(text: str, limit: int) -> str:
    clean = _NOT_STORABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if len(clean) <= limit:
        return clean
    half = limit // 2
    return f"{clean[:half]}\n... {len(clean) - 2 * half} characters left out ...\n{clean[-half:]}"
