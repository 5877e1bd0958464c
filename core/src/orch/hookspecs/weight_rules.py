"""Weight rules: how plugins turn the weights of a DAG's tasks into priorities."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orch.domain.dagspec import DagSpec
from orch.hookspecs.markers import hookspec

__all__ = ["WeightRuleSpec", "register_weight_rules"]


@dataclass(frozen=True, slots=True)
class WeightRuleSpec:
    """One weight rule of a plugin; DAG files name it in `weight_rule="name"`."""

    name: str
    """Small letters, digits, `_`, `-` and `.`; not the name of a rule of core."""
    weigh: Callable[[DagSpec], Mapping[str, int]]
    """Returns the priority of each task by task id; those of tasks with another rule are not used.

    Whole numbers; what does not fit 32 bits is cut off. 1 is what a task has without any weight, and each doubling
    is worth as much as `scheduler.ageing_seconds` of waiting.
    """
    description: str = ""


@hookspec
def register_weight_rules() -> Sequence[WeightRuleSpec]:
    """Name the weight rules that this plugin brings.

    A name that two plugins bring is an error that names both. A rule is called in the DAG processor, once for each
    imported DAG with tasks that name it: it is a pure function, without clock, network and memory, and may take 1 s.
    What breaks that contract is an import error of the DAG file that names the rule and the plugin.

    Kind: collecting
    Caller: every process that loads plugins
    Moment: once, at boot
    Transaction: none
    Thread: the main thread
    Since: 0.1
    """
    return ()
