"""The environment of hosts and tasks: the worker's own, without what could open the database or a secret."""

from collections.abc import Mapping

KEPT = frozenset(
    {"ORCH_HOME", "ORCH_DAGS", "ORCH_PLUGINS", "ORCH_TESTING", "ORCH_FAILPOINT", "ORCH_FAILPOINT_ONCE"}
)
"""All other variables named ORCH_... are settings, any of which may hold an address or a key."""


def task_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what user code may see of an environment."""
    return {name: value for name, value in environ.items() if name in KEPT or not name.startswith("ORCH_")}
