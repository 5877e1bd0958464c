"""The testing kit: runs of DAGs for authors; for plugins checks against the hook specs and contract suites."""

from orch.testing.dags import run_dag
from orch.testing.plugins import check_import_paths, check_plugin, plugins_from

__all__ = ["check_import_paths", "check_plugin", "plugins_from", "run_dag"]
