"""The facade: all that the rest of orch sees of plugins, as typed registries and methods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from orch.domain.dagspec import DagSpec, TimetableSpec
from orch.domain.timetables import TimetableFactory
from orch.errors import PluginError, nearest
from orch.hookspecs import (
    CliCommandSpec,
    DagRunChange,
    ExecutorSpec,
    OperatorSpec,
    TaskInstanceChange,
    TimetableKind,
    WeightRuleSpec,
)
from orch.plugins.catalogue import KNOWN_PROVIDERS, package_with_executor, package_with_timetable
from orch.plugins.observers import Observer, notify_all
from orch.plugins.registries import Registries
from orch.plugins.report import PluginReport, PluginState
from orch.plugins.timetables import GuardedKind
from orch.plugins.weight_rules import GuardedRule, with_plugin_priorities

if TYPE_CHECKING:
    from orch.domain.timetables import DagTimetable


@dataclass(frozen=True)
class Plugins:
    """The plugins of this process. Asked once at boot; no loop looks a hook up by name."""

    registries: Registries = field(default_factory=Registries)
    report: Sequence[PluginReport] = ()
    """Every plugin that was found, sorted by name."""
    task_instance_observers: Sequence[Observer[TaskInstanceChange]] = ()
    run_observers: Sequence[Observer[DagRunChange]] = ()
    guarded_timetables: Mapping[str, GuardedKind] = field(default_factory=dict)
    """The kinds of timetables of plugins by name, so that what breaks their contract names the plugin."""

    guarded_rules: Mapping[str, GuardedRule] = field(default_factory=dict)
    """The weight rules of plugins by name."""

    @property
    def operators(self) -> Mapping[str, OperatorSpec]:
        """Operators by name."""
        return self.registries.operators

    @property
    def executors(self) -> Mapping[str, ExecutorSpec]:
        """Executors by name."""
        return self.registries.executors

    @property
    def timetables(self) -> Mapping[str, TimetableKind]:
        """Kinds of timetables that plugins bring, by name."""
        return self.registries.timetables

    @property
    def weight_rules(self) -> Mapping[str, WeightRuleSpec]:
        """Weight rules that plugins bring, by name."""
        return self.registries.weight_rules

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

    @cached_property
    def timetable_kinds(self) -> Mapping[str, TimetableFactory]:
        """All kinds of timetables by name: those of core, and guarded ones of plugins."""
        # Late: each command loads plugins, and few of them read schedules.
        from orch.domain.timetables.kinds import BUILT_IN

        return {**BUILT_IN, **self.guarded_timetables}

    def timetable_of(self, spec: DagSpec) -> "DagTimetable":
        """Return the timetable of a DAG; PluginError for a kind that nobody brings says what to install."""
        from orch.domain.timetables.kinds import timetable_of  # late, as above

        if spec.timetable is not None and spec.timetable.kind not in self.timetable_kinds:
            kind = spec.timetable.kind
            raise PluginError(f"unknown timetable {kind!r}{self._remedy_for_timetable(kind)}")
        return timetable_of(spec, self.timetable_kinds)

    def with_priorities(self, spec: DagSpec) -> DagSpec:
        """Return the spec with the priorities that weight rules of plugins give; PluginError says what is wrong."""
        return with_plugin_priorities(spec, self.guarded_rules)

    def words_of(self, timetable: TimetableSpec) -> str | None:
        """Return what the plugin of a timetable calls it; None when it has no words for it."""
        kind = self.guarded_timetables.get(timetable.kind)
        return None if kind is None else kind.words(timetable.arguments)

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
        return self._remedy_for_package(package)

    def _remedy_for_timetable(self, kind: str) -> str:
        if package := package_with_timetable(kind):
            return self._remedy_for_package(package)
        hint = nearest(kind, self.timetables)
        for name, known in self.guarded_timetables.items():
            if hint == f"; did you mean {name!r}?":
                return f"; did you mean {name!r} of {self._whose(known.plugin)}?"
        listed = ", ".join(sorted(self.timetables)) or "none"
        return f"; install the plugin that brings it (timetables of plugins here: {listed})"

    def _whose(self, plugin: str) -> str:
        packages = [report.distribution for report in self.report if report.name == plugin]
        return f"package {packages[0]!r}" if packages and packages[0] else f"plugin {plugin!r}"

    def _remedy_for_package(self, package: str) -> str:
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
