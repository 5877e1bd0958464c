"""Loading: every plugin is imported, checked and asked once; the broken ones are set aside."""

import logging
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pluggy import PluginManager

from orch.errors import PluginError, nearest
from orch.hookspecs import DagRunChange, TaskInstanceChange
from orch.hookspecs.markers import PROJECT
from orch.plugins.answers import Answers, ask_plugin
from orch.plugins.catalogue import remedy_for_module
from orch.plugins.discovery import Candidate, discover
from orch.plugins.facade import Plugins
from orch.plugins.observers import Change, Observer
from orch.plugins.registries import build_registries
from orch.plugins.report import PluginReport, PluginState
from orch.plugins.timetables import guarded_kinds
from orch.plugins.validate import SPEC_MODULES, implementations, problems
from orch.plugins.weight_rules import guarded_rules
from orch.settings import PluginsSettings, Settings

log = logging.getLogger("orch.plugins")


def load_plugins(settings: Settings) -> Plugins:
    """Return the plugins of this installation and of the plugins folder.

    PluginError when one that `plugins.required` names is missing or broken, or when two bring the same name.
    Any other broken plugin is set aside, logged and reported.
    """
    plugins = load_candidates(discover(settings.plugins), settings.plugins)
    for plugin in plugins.report:
        if plugin.state is PluginState.BROKEN:
            log.warning(
                "plugin %r (%s) is broken and set aside: %s", plugin.name, plugin.origin, plugin.error
            )
    return plugins


def load_candidates(candidates: Iterable[Candidate], settings: PluginsSettings) -> Plugins:
    """Return the plugins that these candidates become, like `load_plugins` but without a word in the log."""
    ordered = sorted(candidates, key=lambda candidate: candidate.name)
    _check_required(settings, [candidate.name for candidate in ordered])
    loader = _Loader()
    report = tuple(loader.load(candidate, settings) for candidate in ordered)
    return Plugins(
        registries=build_registries(loader.answers),
        report=report,
        task_instance_observers=loader.task_instance_observers(),
        run_observers=loader.run_observers(),
        guarded_timetables=guarded_kinds(loader.answers),
        guarded_rules=guarded_rules(loader.answers),
    )


def _check_required(settings: PluginsSettings, names: Sequence[str]) -> None:
    for name in settings.required:
        if name in settings.blocked:
            raise PluginError(
                f"plugin {name!r} stands in plugins.required and in plugins.blocked; choose one"
            )
        if name not in names:
            raise PluginError(
                f"plugin {name!r} is required by plugins.required but not installed{_remedy(name, names)}"
            )


def _remedy(name: str, names: Sequence[str]) -> str:
    if install := remedy_for_module(f"orch_{name}"):
        return f"; {install}"
    return nearest(name, names) or "; install the package that brings it"


class _Loader:
    """One load: the pluggy manager, and what the plugins have answered so far."""

    def __init__(self) -> None:
        self.answers: dict[str, Answers] = {}
        self._manager = PluginManager(PROJECT)
        for module in SPEC_MODULES:
            self._manager.add_hookspecs(module)

    def load(self, candidate: Candidate, settings: PluginsSettings) -> PluginReport:
        """Load one plugin and say what became of it; PluginError when it is required and broken."""
        if candidate.name in settings.blocked:
            return _report(candidate, PluginState.BLOCKED)
        try:
            return _report(candidate, PluginState.OK, hooks=self._taken_in(candidate))
        except (Exception, SystemExit) as error:  # the edge of foreign code; a module may even call sys.exit
            line = _one_line(error)
            if candidate.name in settings.required:
                raise PluginError(
                    f"plugin {candidate.name!r} ({candidate.where}) is required by plugins.required but broken: "
                    f"{line}; repair it, or take it out of plugins.required"
                ) from error
            text = "".join(traceback.format_exception(error))
            return _report(candidate, PluginState.BROKEN, error=line, traceback=text)

    def task_instance_observers(self) -> tuple[Observer[TaskInstanceChange], ...]:
        """Return who wants to hear of task instances, in the order of their names."""
        return self._observers("on_task_instances_changed")

    def run_observers(self) -> tuple[Observer[DagRunChange], ...]:
        """Return who wants to hear of runs, in the order of their names."""
        return self._observers("on_runs_changed")

    def _taken_in(self, candidate: Candidate) -> tuple[str, ...]:
        plugin = candidate.load()
        if found := problems(plugin):
            raise PluginError("; ".join(found))
        self._manager.register(plugin, candidate.name)
        try:
            self.answers[candidate.name] = ask_plugin(lambda hook: self._hook_of(plugin, hook)())
        except BaseException:
            self._manager.unregister(plugin)
            raise
        return tuple(sorted({one.hook for one in implementations(plugin)}))

    def _hook_of(self, plugin: object, hook: str) -> Callable[..., Any]:
        """Return the hook as this plugin alone implements it."""
        others = self._manager.get_plugins() - {plugin}
        return self._manager.subset_hook_caller(hook, others)

    def _observers(self, hook: str) -> tuple[Observer[Change], ...]:
        return tuple(
            Observer(name, hook, _with_changes(self._hook_of(plugin, hook)))
            for name, plugin in sorted(self._manager.list_name_plugin(), key=lambda pair: pair[0])
            if plugin is not None and hook in {one.hook for one in implementations(plugin)}
        )


def _with_changes(call: Callable[..., Any]) -> Callable[[Sequence[Change]], object]:
    return lambda changes: call(changes=changes)


def _report(candidate: Candidate, state: PluginState, **facts: Any) -> PluginReport:
    return PluginReport(
        name=candidate.name,
        origin=candidate.origin,
        state=state,
        package=candidate.package,
        **facts,
    )


def _one_line(error: BaseException) -> str:
    text = str(error).strip()
    if isinstance(error, PluginError):
        return text.splitlines()[0]
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
