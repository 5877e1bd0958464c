"""Options: what a worker needs to know of the settings."""

from dataclasses import dataclass
from pathlib import Path

from orch.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """The options of one worker; spans are seconds."""

    dags_folder: Path
    logs_folder: Path
    bundles_folder: Path
    """Where stored states of the dags folder are laid out."""
    executors: tuple[str, ...]
    """It claims what these executors have been given."""
    parallelism: int
    """Attempts that run at once."""
    scope_run_pk: int | None = None
    """Claim of this run only."""
    poll_seconds: float = 1.0
    lease_seconds: float = 30.0
    heartbeat_seconds: float = 5.0
    grace_seconds: float = 10.0
    drain_seconds: float = 30.0
    kill_grace_seconds: float = 5.0
    import_timeout_seconds: float = 30.0
    xcom_max_bytes: int = 1_048_576
    log_max_bytes: int = 10_485_760
    isolation: str = "reuse"
    """Of tasks that do not say: `reuse` or `fork`."""
    tasks_per_process: int = 100
    task_process_growth_mb: int = 100

    @classmethod
    def from_settings(
        cls, settings: Settings, executors: tuple[str, ...], parallelism: int, scope_run_pk: int | None
    ) -> "WorkerOptions":
        """Return the options that the settings say."""
        worker = settings.worker
        return cls(
            dags_folder=settings.core.dags_folder,
            logs_folder=settings.core.logs_folder,
            bundles_folder=settings.core.bundles_folder,
            executors=executors,
            parallelism=parallelism,
            scope_run_pk=scope_run_pk,
            poll_seconds=settings.scheduler.poll_seconds,
            lease_seconds=worker.lease_seconds,
            heartbeat_seconds=worker.heartbeat_seconds,
            grace_seconds=settings.scheduler.grace_seconds,
            drain_seconds=worker.drain_seconds,
            kill_grace_seconds=worker.kill_grace_seconds,
            import_timeout_seconds=settings.dagfiles.import_timeout_seconds,
            xcom_max_bytes=worker.xcom_max_bytes,
            log_max_bytes=worker.log_max_bytes,
            isolation=worker.isolation,
            tasks_per_process=worker.tasks_per_process,
            task_process_growth_mb=worker.task_process_growth_mb,
        )
