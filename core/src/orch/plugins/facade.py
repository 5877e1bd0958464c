"""The facade: all that the rest of orch sees of plugins, as typed registries and methods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orch.errors import PluginError, nearest
from orch.hookspecs import (
    CliCommandSpec,
    DagRunChange,
    ExecutorSpec,
    OperatorSpec,
    TaskInstanceChange,
)
from orch.plugins.catalogue import KNOWN_PROVIDERS, package_with_executor
from orch.plugins.observers import Observer, notify_all
from orch.plugins.registries import Registries
from orch.plugins.report import PluginReport, PluginState


@dataclass(frozen=True)
class Plugins:
    """The plugins of this process. Asked once at boot; no loop looks a hook up by name."""

    registries: Registries = field(default_factory=Registries)
    report: Sequence[PluginReport] = ()
    """Every plugin that was found, sorted by name."""
    task_instance_observers: Sequence[Observer[TaskInstanceChange]] = ()
    run_observers: Sequence[Observer[DagRunChange]] = ()

    @property
    def operators(self) -> Mapping[str, OperatorSpec]:
        """Operators by name."""
        return self.registries.operators

    @property
    def executors(self) -> Mapping[str, ExecutorSpec]:
        """Executors by name."""
        return self.registries.executors

    @property
    def cli_commands(self) -> Mapping[str, CliCommandSpec]:
        """Commands by name."""
        return self.registries.cli_commands

    def executor(self, name: str) -> ExecutorSpec:
        """Return the executor of this name; PluginError says which one is near or what to install."""
        spec = self.executors.get(name)
        if spec is None:
            raise PluginError(f"unknown executor {name!r}{self._remedy_for_executor(name)}")
        return spec

    def notify_task_instances(self, changes: Sequence[TaskInstanceChange]) -> None:
        """Tell the observers that task instances have moved; call it after the commit. Never raises."""
        notify_all(self.task_instance_observers, changes)

    def notify_runs(self, changes: Sequence[DagRunChange]) -> None:
        """Tell the observers that runs have moved; call it after the commit. Never raises."""
        notify_all(self.run_observers, changes)

    def _remedy_for_executor(self, name: str) -> str:
        package = package_with_executor(name)
        if package is None:
            known = ", ".join(sorted(self.executors)) or "none; pip install orch-local"
            return nearest(name, self.executors) or f"; known: {known}"
        for plugin in self.report:
            if plugin.origin.startswith(f"{package}."):
                return f"; {_why_silent(plugin)}"
        return f"; {KNOWN_PROVIDERS[package].remedy}"


def _why_silent(plugin: PluginReport) -> str:
    match plugin.state:
        case PluginState.BLOCKED:
            return f"plugin {plugin.name!r}, which brings it, is blocked by plugins.blocked"
        case PluginState.BROKEN:
            return f"plugin {plugin.name!r}, which brings it, is broken: {plugin.error}"
        case PluginState.OK:
            return f"this version of plugin {plugin.name!r} ({plugin.version}) does not bring it; upgrade it"
