"""The catalogue of known providers: which distribution brings a module, an executor, an operator or a timetable."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """One distribution of the orch project."""

    distribution: str
    executors: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    timetables: tuple[str, ...] = ()
    is_released: bool = False
    """Whether it can be installed today."""

    @property
    def remedy(self) -> str:
        """How to get it: `pip install orch-local`, or that it comes later."""
        if self.is_released:
            return f"pip install {self.distribution}"
        package = self.distribution.replace("-", "_")
        return f"{package} is part of {self.distribution}, which comes in a later release of orch"


KNOWN_PROVIDERS: Mapping[str, Provider] = {
    "orch_api": Provider("orch-api"),
    "orch_assets": Provider("orch-assets"),
    "orch_auth": Provider("orch-auth"),
    "orch_celery": Provider("orch-celery", executors=("CeleryExecutor",)),
    "orch_email": Provider("orch-email"),
    "orch_gateway": Provider("orch-gateway"),
    "orch_http": Provider("orch-http", operators=("HttpOperator", "HttpSensor")),
    "orch_jinja": Provider("orch-jinja"),
    "orch_kubernetes": Provider("orch-kubernetes", executors=("KubernetesExecutor",)),
    "orch_local": Provider("orch-local", executors=("LocalExecutor", "SequentialExecutor"), is_released=True),
    "orch_prometheus": Provider("orch-prometheus"),
    "orch_rbac": Provider("orch-rbac"),
    "orch_secrets": Provider("orch-secrets"),
    "orch_sla": Provider("orch-sla"),
    "orch_sql": Provider("orch-sql", operators=("SqlOperator", "SqlSensor")),
    "orch_standard": Provider(
        "orch-standard", operators=("BashOperator", "EmptyOperator", "PythonOperator"), is_released=True
    ),
    "orch_statsd": Provider("orch-statsd"),
    "orch_triggerer": Provider("orch-triggerer"),
    "orch_web": Provider("orch-web"),
    "orch_webhook": Provider("orch-webhook"),
}
"""Import package -> provider; only names, nothing is imported."""


def remedy_for_module(module: str | None) -> str | None:
    """Return `pip install orch-standard` for `orch_standard.bash`, or that its provider is not released yet.

    None when no known provider has the module.
    """
    provider = KNOWN_PROVIDERS.get((module or "").partition(".")[0])
    return provider.remedy if provider else None


def package_with_executor(name: str) -> str | None:
    """Return the import package of the known provider that brings this executor."""
    return next((package for package, known in KNOWN_PROVIDERS.items() if name in known.executors), None)


def package_with_timetable(name: str) -> str | None:
    """Return the import package of the known provider that brings this kind of timetable."""
    return next((package for package, known in KNOWN_PROVIDERS.items() if name in known.timetables), None)


def package_with_operator(name: str) -> str | None:
    """Return the import package of the known provider that brings this operator."""
    return next((package for package, known in KNOWN_PROVIDERS.items() if name in known.operators), None)
