"""The declarations: every setting of orch, as a field of the frozen section that the code receives."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from orch.settings.declare import Setting, declared_in, says

SMALLEST_WAIT = 0.01
LARGEST_XCOM = 32 * 1024 * 1024
"""Half of what one message between a worker and its task processes can carry."""


def _default_parallelism() -> int:
    return max(2 * len(os.sched_getaffinity(0)), 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSettings:
    """Where things are, and the limits that a DAG or pool gets unless it names its own."""

    home: Path = field(
        metadata=says(
            "Folder of the database, logs, run files and orch.toml.",
            alias="ORCH_HOME",
            default=lambda home: home,
            default_text=".orch in the working folder",
            in_file=False,
        )
    )
    dags_folder: Path = field(
        metadata=says(
            "Folder of the DAG files.",
            alias="ORCH_DAGS",
            default=lambda _: Path.cwd() / "dags",
            default_text="dags in the working folder",
        )
    )
    executor: str = field(
        default="LocalExecutor", metadata=says("Executor of the tasks that do not name one themselves.")
    )
    default_pool_slots: int = field(
        default=128, metadata=says("Slots of the pool `default` when the database is made.", at_least=0)
    )
    max_active_tasks_per_dag: int = field(
        default=16, metadata=says("Task instances of one DAG that may be queued or running.", at_least=1)
    )
    max_active_runs_per_dag: int = field(
        default=16, metadata=says("Runs of one DAG that may be running.", at_least=1)
    )
    executor_parallelism: int = field(
        default=0,
        metadata=says(
            "Task instances of one executor that may be queued or running; 0 means what the executor itself says.",
            at_least=0,
        ),
    )

    @property
    def logs_folder(self) -> Path:
        """Folder of all logs."""
        return self.home / "logs"

    @property
    def bundles_folder(self) -> Path:
        """Folder in which the worker lays out stored states of the dags folder."""
        return self.home / "bundles"

    @property
    def run_folder(self) -> Path:
        """Folder of lock files and sockets of live processes; only its owner may enter it."""
        return self.home / "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """The database, which is the only queue and the only truth."""

    url: str = field(
        metadata=says(
            "Address of the database, as SQLAlchemy writes it; a path escapes `?`, `#`, `%` as `%3F`, `%23`, `%25`.",
            default=lambda home: f"sqlite:///{quote(str(home / 'orch.db'))}",
            default_text="sqlite:///<home>/orch.db",
        )
    )
    busy_timeout_seconds: float = field(
        default=30.0, metadata=says("How long a transaction waits for another one's lock.", at_least=0)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerSettings:
    """The loops that create, promote, evaluate, admit, send and rescue."""

    poll_seconds: float = field(
        default=1.0,
        metadata=says("Longest pause between two looks when no hint arrives.", at_least=SMALLEST_WAIT),
    )
    batch: int = field(default=500, metadata=says("Most tasks that one transaction moves.", at_least=1))
    lease_seconds: float = field(
        default=30.0,
        metadata=says("How long a scheduler counts as alive without a heartbeat.", at_least=0.05),
    )
    heartbeat_seconds: float = field(
        default=5.0, metadata=says("Time between two heartbeats of a scheduler.", at_least=SMALLEST_WAIT)
    )
    grace_seconds: float = field(
        default=10.0,
        metadata=says("How long a worker may leave an attempt out of its heartbeats.", at_least=0),
    )
    ageing_seconds: float = field(
        default=3600.0,
        metadata=says(
            "Waiting time that counts as much as twice the priority weight.", at_least=1, at_most=31_536_000
        ),
    )
    infra_loss_limit: int = field(
        default=3,
        metadata=says("Lost attempts of a task (not its own failures) before it fails.", at_least=1),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """The supervisor of this host's task processes."""

    parallelism: int = field(
        default_factory=_default_parallelism,
        metadata=says(
            "Tasks that run at once on this host.",
            at_least=1,
            default_text="twice the usable CPUs, at least 4",
        ),
    )
    lease_seconds: float = field(
        default=30.0, metadata=says("How long a worker counts as alive without a heartbeat.", at_least=0.05)
    )
    heartbeat_seconds: float = field(
        default=5.0, metadata=says("Time between two heartbeats of a worker.", at_least=SMALLEST_WAIT)
    )
    drain_seconds: float = field(
        default=30.0, metadata=says("How long a stopping worker lets its tasks go on.", at_least=0)
    )
    kill_grace_seconds: float = field(
        default=5.0, metadata=says("Time between SIGTERM and SIGKILL for a task process.", at_least=0)
    )
    xcom_max_bytes: int = field(
        default=1_048_576,
        metadata=says("Largest XCom, in bytes of its JSON.", at_least=1, at_most=LARGEST_XCOM),
    )
    log_max_bytes: int = field(
        default=10_485_760, metadata=says("Largest log of one attempt; the rest is cut off.", at_least=1_024)
    )
    isolation: str = field(
        default="reuse",
        metadata=says(
            "How tasks that do not say it get their process: one that was reset after other tasks, or a fresh one.",
            choices=("reuse", "fork"),
        ),
    )
    tasks_per_process: int = field(
        default=100, metadata=says("Tasks after which a task process is replaced.", at_least=1)
    )
    task_process_growth_mb: int = field(
        default=100,
        metadata=says(
            "A task process that has gained more memory since its first task, in MiB, is replaced.",
            at_least=0,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DagFilesSettings:
    """How DAG files are watched and imported."""

    import_timeout_seconds: float = field(
        default=30.0, metadata=says("Longest import of one DAG file.", at_least=SMALLEST_WAIT)
    )
    import_memory_mb: int = field(
        default=512,
        metadata=says("Most memory that the import of one DAG file may take, in MiB.", at_least=16),
    )
    poll_seconds: float = field(
        default=1.0,
        metadata=says(
            "Longest time until a change is seen that no notification told.", at_least=SMALLEST_WAIT
        ),
    )
    parallelism: int = field(default=2, metadata=says("DAG files imported at once.", at_least=1))
    pinned_suffixes: tuple[str, ...] = field(
        default=(".sql", ".sh", ".j2", ".jinja", ".jinja2", ".yaml", ".yml", ".toml"),
        metadata=says(
            "Endings of files that are stored with the Python files, so that a run keeps those it began with.",
            default_text=".sql, .sh, .j2, .jinja, .jinja2, .yaml, .yml, .toml",
        ),
    )
    pinned_max_bytes: int = field(
        default=1_048_576,
        metadata=says(
            "Largest file of such an ending, or read by an import, that is stored; a run sees larger ones as they are.",
            at_least=0,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginsSettings:
    """Which plugins are loaded."""

    folder: Path | None = field(
        default=None,
        metadata=says("Folder of drop-in plugin modules; empty means none.", alias="ORCH_PLUGINS"),
    )
    required: tuple[str, ...] = field(
        default=(), metadata=says("Plugins without which no process starts; others that break are set aside.")
    )
    blocked: tuple[str, ...] = field(
        default=(), metadata=says("Plugins that are installed but must not be loaded.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one process, each with the place its value came from."""

    core: CoreSettings
    database: DatabaseSettings
    scheduler: SchedulerSettings
    worker: WorkerSettings
    dagfiles: DagFilesSettings
    plugins: PluginsSettings
    sources: Mapping[str, str] = field(default_factory=dict)
    """Setting name → `default`, `file PATH`, `environment NAME` or `command line`."""


SECTIONS = {
    "core": CoreSettings,
    "database": DatabaseSettings,
    "scheduler": SchedulerSettings,
    "worker": WorkerSettings,
    "dagfiles": DagFilesSettings,
    "plugins": PluginsSettings,
}

SETTINGS: tuple[Setting, ...] = tuple(
    setting for section, cls in SECTIONS.items() for setting in declared_in(section, cls)
)
"""Every setting, in the order of the documentation."""
