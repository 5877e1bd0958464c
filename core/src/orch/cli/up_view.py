"""What `orch up` shows: components, runs in progress, the newest ends, and broken DAG files."""

import select
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Protocol

from orch.app.reader import live_roles, reader_of
from orch.cli.news import ComponentState, News
from orch.cli.output import Output
from orch.cli.prepare import error_line
from orch.cli.up_live import LiveView
from orch.cli.up_snapshot import Snapshot, component_text, event_text, summary
from orch.errors import StoreError
from orch.processes import StopSignal
from orch.settings import Settings
from orch.store.change_mark import ChangeMark
from orch.store.queries import reading, watching
from orch.store.queries.reading import ImportErrorRow
from orch.store.reader import Reader

GLANCE_SECONDS = 0.25
MOST_RUNS = 12
MOST_ENDED = 8


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
        kind = LiveView if self._output.is_terminal else PlainView
        view: View = kind(self._settings, self._output)
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

    def __init__(self, settings: Settings, output: Output) -> None:
        self._settings = settings
        self._output = output
        self._errors: dict[str, str] = {}
        self._was_ready = False

    def component(self, state: ComponentState) -> None:
        """Print what became of the component."""
        self._output.line(component_text(self._settings, state))

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
