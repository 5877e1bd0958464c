"""What `orch up` shows: components, runs in progress, the newest ends, and broken DAG files."""

import select
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from orch.app.home import component_log
from orch.app.reader import live_roles, reader_of
from orch.cli.news import ComponentState, News
from orch.cli.output import STATE_STYLES, Output, cell_text, counted, span_text
from orch.cli.prepare import error_line
from orch.clock import monotonic, system_clock
from orch.errors import StoreError
from orch.processes import StopSignal
from orch.settings import Settings
from orch.store.change_mark import ChangeMark
from orch.store.queries import reading, watching
from orch.store.queries.reading import ImportErrorRow
from orch.store.queries.watching import RunEvent, RunProgress
from orch.store.reader import Reader

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

GLANCE_SECONDS = 0.25
MOST_RUNS = 12
MOST_ENDED = 8
MOST_ERRORS = 5
BAR_CELLS = 20


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


class View(Protocol):
    """Shows news and snapshots to a person."""

    def component(self, state: ComponentState) -> None:
        """Show a component that has changed."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """Show the home as it is now."""

    def tick(self) -> None:
        """Show that time passes."""

    def close(self) -> None:
        """Leave the output in order."""


class UpWatch:
    """Looks at the home when it has changed and gives what it sees to a view. It never writes."""

    def __init__(self, settings: Settings, news: News, after: int = 0) -> None:
        self._settings = settings
        self._news = news
        self._output = Output()
        self._mark = ChangeMark(settings.database.url)
        self._last_event = after
        self._is_ready = False

    def run(self, stop: StopSignal) -> None:
        """Watch until `stop` is set; what happened until then is still shown."""
        view = LiveView(self._settings, self._output) if self._output.is_terminal else PlainView(self._output)
        watched: list[StopSignal | News] = [stop, self._news]
        with closing(view), closing(reader_of(self._settings)) as reader:
            while not stop.is_set:
                self._turn(view, reader)
                select.select(watched, [], [], GLANCE_SECONDS)
            self._turn(view, reader)

    def _turn(self, view: View, reader: Reader) -> None:
        for state in self._news.listen():
            view.component(state)
        if self._mark.moved() or not self._is_ready:
            try:
                view.snapshot(self._look(reader))
            except StoreError:
                return  # the components say what is wrong; the next look may succeed
        view.tick()

    def _look(self, reader: Reader) -> Snapshot:
        if not self._is_ready:
            self._is_ready = {"scheduler", "worker"} <= live_roles(reader)
        with reader.read() as tx:
            events = watching.run_events(tx, self._last_event)
            if events:
                self._last_event = events[-1].seq
            return Snapshot(
                dag_count=watching.dag_count(tx),
                open_count=watching.open_run_count(tx),
                open_runs=watching.open_runs(tx, MOST_RUNS),
                ended_runs=watching.ended_runs(tx, MOST_ENDED),
                errors=reading.import_errors(tx),
                events=events,
                is_ready=self._is_ready,
            )


class PlainView:
    """Lines for a pipe: one per event."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._errors: dict[str, str] = {}
        self._was_ready = False

    def component(self, state: ComponentState) -> None:
        """Print what became of the component."""
        self._output.line(component_text(state))

    def snapshot(self, snapshot: Snapshot) -> None:
        """Print what is new since the last snapshot."""
        for line in (*self._error_lines(snapshot.errors), *map(event_text, snapshot.events)):
            self._output.line(line)
        if snapshot.is_ready and not self._was_ready:
            self._was_ready = True
            self._output.line(f"ready: {summary(snapshot)}")

    def tick(self) -> None:
        """Print nothing: a pipe has no clock."""

    def close(self) -> None:
        """Leave everything as it is."""

    def _error_lines(self, errors: Iterable[ImportErrorRow]) -> Iterator[str]:
        now = {error.path: error_line(error) for error in errors}
        for path, text in now.items():
            if self._errors.get(path) != text:
                yield text
        for path in self._errors.keys() - now.keys():
            yield f"{path} can be imported again, or is gone"
        self._errors = now


class LiveView:
    """One screen that is redrawn in place."""

    def __init__(self, settings: Settings, output: Output) -> None:
        # Imported here: a pipe needs no rich, and rich takes tens of milliseconds.
        from rich.live import Live

        self._settings = settings
        self._output = output
        self._components: dict[str, ComponentState] = {}
        self._snapshot: Snapshot | None = None
        self._shown_at = 0.0
        self._live = Live(console=output.console(), auto_refresh=False)
        self._live.start()

    def component(self, state: ComponentState) -> None:
        """Redraw with the component's new state."""
        self._components[state.name] = state
        self._shown_at = 0.0

    def snapshot(self, snapshot: Snapshot) -> None:
        """Redraw with what is new."""
        self._snapshot = snapshot
        self._shown_at = 0.0

    def tick(self) -> None:
        """Redraw when something is new, and each second while runs are in progress."""
        is_busy = self._snapshot is not None and self._snapshot.open_count > 0
        if self._shown_at == 0.0 or (is_busy and monotonic() - self._shown_at >= 1.0):
            self._shown_at = monotonic()
            self._live.update(self._screen(system_clock()), refresh=True)

    def close(self) -> None:
        """Draw the last state and give the terminal back."""
        self._shown_at = 0.0
        self.tick()
        self._live.stop()

    def _screen(self, now: datetime) -> "RenderableType":
        from rich.console import Group  # late, as above

        parts: list[RenderableType] = [self._component_table()]
        snapshot = self._snapshot
        if snapshot is not None:
            parts.append(summary(snapshot))
            if snapshot.open_runs:
                parts.append(_open_table(snapshot, now))
            if snapshot.ended_runs:
                parts.append(_ended_table(snapshot))
            parts += _error_lines(snapshot.errors)
        is_ending = any(state.kind == "ended" for state in self._components.values())
        parts.append("stopping" if is_ending else "Ctrl-C ends everything; `orch status DAG` shows more")
        return Group(*parts)

    def _component_table(self) -> "Table":
        from rich.text import Text  # late, as above

        table = _table("component", "state", "pid", "log")
        for state in self._components.values():
            log = component_log(self._settings, state.name)
            style = "green" if state.kind == "started" else "yellow"
            words = "running" if state.kind == "started" else f"{state.kind}: {state.exit}"
            table.add_row(state.name, Text(words, style), str(state.pid or ""), Text(str(log)))
        return table


def summary(snapshot: Snapshot) -> str:
    """Return how much there is."""
    return f"{counted(snapshot.dag_count, 'DAG')}, {counted(snapshot.open_count, 'run')} in progress"


def component_text(state: ComponentState) -> str:
    """Return one line on a component that has changed."""
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


def _open_table(snapshot: Snapshot, now: datetime) -> "Table":
    table = _table("in progress", "run", "tasks", "", "since")
    for run in snapshot.open_runs:
        full = BAR_CELLS * run.done // run.total if run.total else 0
        counts = " ".join(
            f"[{STATE_STYLES.get(state, 'default')}]{number} {state}[/]"
            for state, number in sorted(run.counts.items())
        )
        bar = f"{'#' * full}{'.' * (BAR_CELLS - full)} {run.done}/{run.total}"
        table.add_row(
            run.dag_id, run.run_id, bar, counts, span_text(now - (run.started_at or run.created_at))
        )
    if snapshot.open_count > len(snapshot.open_runs):
        table.add_row(f"and {snapshot.open_count - len(snapshot.open_runs)} more")
    return table


def _ended_table(snapshot: Snapshot) -> "Table":
    table = _table("ended", "run", "state", "took", "at")
    for run in snapshot.ended_runs:
        took = span_text(run.ended_at - run.started_at) if run.started_at and run.ended_at else ""
        state = f"[{STATE_STYLES.get(run.state, 'default')}]{run.state}[/]"
        table.add_row(run.dag_id, run.run_id, state, took, cell_text(run.ended_at))
    return table


def _error_lines(errors: list[ImportErrorRow]) -> "Iterator[RenderableType]":
    from rich.text import Text  # late, as above

    for error in errors[:MOST_ERRORS]:
        yield Text(error_line(error), style="red")
    if len(errors) > MOST_ERRORS:
        yield Text(f"and {len(errors) - MOST_ERRORS} more import errors", style="red")


def _table(*columns: str) -> "Table":
    from rich.table import Table  # late, as above

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
