"""Plugins: found, imported and asked once at boot; then frozen registries and a typed facade."""

from orch.plugins.catalogue import KNOWN_PROVIDERS, remedy_for_module
from orch.plugins.facade import Plugins
from orch.plugins.load import load_plugins
from orch.plugins.report import PluginReport, PluginState

__all__ = [
    "KNOWN_PROVIDERS",
    "PluginReport",
    "PluginState",
    "Plugins",
    "load_plugins",
    "remedy_for_module",
]
