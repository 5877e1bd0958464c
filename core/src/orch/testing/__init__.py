"""The testing kit for plugins: checks against the hook specs, and one contract suite per kind of plugin."""

from orch.testing.plugins import check_import_paths, check_plugin, plugins_from

__all__ = ["check_import_paths", "check_plugin", "plugins_from"]
