"""What `orch up` has to tell: the home at one moment, and one line for each thing that happened."""

from dataclasses import dataclass

from orch.cli.news import EVERYTHING, ComponentState, stopping_text
from orch.cli.output import counted, span_text
from orch.settings import Settings
from orch.store.queries.reading import ImportErrorRow
from orch.store.queries.watching import RunEvent, RunProgress


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The home at one moment."""

    dag_count: int
    open_count: int
    open_runs: list[RunProgress]
    ended_runs: list[RunProgress]
    errors: list[ImportErrorRow]
    events: list[RunEvent]
    is_ready: bool


def summary(snapshot: Snapshot) -> str:
    """Return how much there is."""
    return f"{counted(snapshot.dag_count, 'DAG')}, {counted(snapshot.open_count, 'run')} in progress"


def component_text(settings: Settings, state: ComponentState) -> str:
    """Return one line on a component that has changed."""
    if state.name == EVERYTHING:
        return stopping_text(settings.worker.drain_seconds)
    if state.kind == "started":
        return f"{state.name} started (pid {state.pid})"
    if state.kind == "restarting":
        return f"{state.name} (pid {state.pid}) ended: {state.exit}; it is started again"
    return f"{state.name} ended: {state.exit}"


def event_text(event: RunEvent) -> str:
    """Return one line on a run that has moved."""
    took = ""
    if event.new not in ("queued", "running") and event.started_at and event.ended_at:
        took = f" in {span_text(event.ended_at - event.started_at)}"
    return f"run {event.dag_id} {event.run_id} {event.new}{took}"
