"""Dag runs: what plugins hear of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orch.domain.states import RunState
from orch.hookspecs.markers import hookspec


@dataclass(frozen=True, slots=True)
class DagRunChange:
    """One dag run has moved from one state to another."""

    dag_id: str
    run_id: str
    old: RunState
    new: RunState
    at: datetime
    """When the move was committed, aware UTC."""


@hookspec
def on_runs_changed(changes: Sequence[DagRunChange]) -> None:
    """Observe dag runs whose state has changed.

    What it raises is logged with the plugin's name and changes nothing else; after ten failures in a row this
    process no longer calls it. A process that is killed after the commit leaves its batch untold.

    Kind: observer
    Caller: the scheduler
    Moment: after the commit, once per batch, never with an empty one
    Transaction: none
    Thread: the main thread of the caller, which waits for it
    Since: 0.1
    """
