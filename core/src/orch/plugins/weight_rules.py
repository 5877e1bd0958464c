"""Weight rules of plugins, guarded: what breaks their contract is an error that names the rule and its plugin."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NoReturn

from orch.domain.dagspec import DagSpec
from orch.domain.priorities import BUILT_IN, assign
from orch.errors import PluginError, nearest
from orch.hookspecs import WeightRuleSpec
from orch.plugins.answers import Answers
from orch.plugins.deadline import DeadlineError, deadline

BUDGET_SECONDS = 1.0
"""What one call of a rule may take."""
LAST_SECONDS = 5.0
"""A call that has taken so long is ended."""


@dataclass(frozen=True, slots=True)
class GuardedRule:
    """A rule of a plugin whose every answer is checked."""

    rule: WeightRuleSpec
    plugin: str

    def priorities(self, spec: DagSpec, task_ids: Iterable[str]) -> dict[str, int]:
        """Return the priorities of these tasks; PluginError when the rule does not give them in time.

        A call over the budget is repeated once: the first may have imported something, or the machine stood still.
        """
        answer, took = self._timed(spec)
        if took > BUDGET_SECONDS:
            answer, took = self._timed(spec)
        if took > BUDGET_SECONDS:
            self._fail(f"took {took:.1f} s; it may take {BUDGET_SECONDS:g} s")
        if not isinstance(answer, dict):
            self._fail(f"returned {answer!r:.80}; return a mapping from task ids to whole numbers")
        return {task_id: self._checked(task_id, answer.get(task_id)) for task_id in task_ids}

    def _checked(self, task_id: str, priority: object) -> int:
        if isinstance(priority, bool) or not isinstance(priority, int):
            self._fail(f"gives task {task_id!r} the priority {priority!r:.80}; give it a whole number")
        return priority

    def _timed(self, spec: DagSpec) -> tuple[object, float]:
        began = time.monotonic()
        try:
            with deadline(LAST_SECONDS):
                answer: object = self.rule.weigh(spec)
                if isinstance(answer, Mapping):
                    answer = dict(answer)
        except DeadlineError:
            self._fail(f"was ended after {LAST_SECONDS:g} s; it may take {BUDGET_SECONDS:g} s")
        except (Exception, SystemExit) as error:  # the edge of foreign code
            self._fail(f"raised {type(error).__name__}: {error}", error)
        return answer, time.monotonic() - began

    def _fail(self, what: str, cause: BaseException | None = None) -> NoReturn:
        raise PluginError(f"weight rule {self.rule.name!r} of plugin {self.plugin!r} {what}") from cause


def guarded_rules(answers: Mapping[str, Answers]) -> Mapping[str, GuardedRule]:
    """Return the rules of these plugins by name."""
    return MappingProxyType(
        {
            rule.name: GuardedRule(rule, plugin)
            for plugin, each in answers.items()
            for rule in each.weight_rules
        }
    )


def with_plugin_priorities(spec: DagSpec, rules: Mapping[str, GuardedRule]) -> DagSpec:
    """Return the spec with the priorities that rules of plugins give; PluginError for a rule that nobody brings."""
    wanted: dict[str, list[str]] = {}
    for task in spec.tasks:
        if task.weight_rule not in BUILT_IN:
            wanted.setdefault(task.weight_rule, []).append(task.task_id)
    priorities: dict[str, int] = {}
    for name, task_ids in sorted(wanted.items()):
        if name not in rules:
            known = (*BUILT_IN, *sorted(rules))
            hint = nearest(name, known) or f"; known: {', '.join(known)}"
            raise PluginError(f"task {task_ids[0]!r} has the unknown weight rule {name!r}{hint}")
        priorities |= rules[name].priorities(spec, task_ids)
    return assign(spec, priorities) if priorities else spec
