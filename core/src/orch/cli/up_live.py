"""The live view of `orch up`: one screen that is redrawn in place and never longer than the terminal."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orch.app.home import component_log
from orch.cli.news import EVERYTHING, ComponentState
from orch.cli.output import STATE_STYLES, Output, cell_text, span_text
from orch.cli.prepare import error_line
from orch.cli.up_snapshot import Snapshot, component_text, summary
from orch.clock import monotonic, system_clock
from orch.domain.states import FAILED_STATES
from orch.settings import Settings
from orch.store.queries.reading import ImportErrorRow
from orch.store.queries.watching import RunProgress

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

MOST_ERRORS = 5
WIDE = 100
"""Cells from which on a line has room for logs and dates."""
VERY_WIDE = 160
"""Cells from which on names are not shortened, unless they are very long."""
ENDED_LINES = 4
"""Lines kept for runs that have ended while many are in progress."""


class LiveView:
    """One screen that is redrawn in place."""

    def __init__(self, settings: Settings, output: Output) -> None:
        # Imported here: a pipe needs no rich, and rich takes tens of milliseconds.
        from rich.live import Live

        self._settings = settings
        self._components: dict[str, ComponentState] = {}
        self._stopping: str | None = None
        self._snapshot: Snapshot | None = None
        self._shown_at = 0.0
        self._live = Live(console=output.console(), auto_refresh=False)
        self._live.start()

    def component(self, state: ComponentState) -> None:
        """Redraw with the component's new state."""
        if state.name == EVERYTHING:
            self._stopping = component_text(self._settings, state)
        else:
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

        size = self._live.console.size
        is_wide = size.width >= WIDE
        parts: list[RenderableType] = [self._component_table(is_wide=is_wide)]
        if self._snapshot is not None:
            errors = list(_error_lines(self._snapshot.errors, min(MOST_ERRORS, max(1, size.height // 5))))
            # the table of components with its heading, the summary, the last line, the cursor's line
            room = size.height - len(self._components) - 1 - 1 - len(errors) - 1 - 1
            parts.append(summary(self._snapshot))
            parts += _run_tables(self._snapshot, now, room, size.width)
            parts += errors
        parts.append(_line(self._last_line()))
        return Group(*parts)

    def _last_line(self) -> str:
        is_ending = any(state.kind == "ended" for state in self._components.values())
        hint = "stopping" if is_ending else "Ctrl-C ends everything; `orch status DAG` shows more"
        return self._stopping or hint

    def _component_table(self, *, is_wide: bool) -> "Table":
        from rich.text import Text  # late, as above

        table = _table("component", "state", "pid", *(["log"] if is_wide else []))
        for state in self._components.values():
            style = "green" if state.kind == "started" else "yellow"
            words = "running" if state.kind == "started" else f"{state.kind}: {state.exit}"
            log = [Text(self._log_name(state.name))] if is_wide else []
            table.add_row(state.name, Text(words, style), str(state.pid or ""), *log)
        return table

    def _log_name(self, component: str) -> str:
        path: Path = component_log(self._settings, component)
        home = self._settings.core.home
        return str(path.relative_to(home) if path.is_relative_to(home) else path)


def shortened(text: str, cells: int) -> str:
    """Return the text in at most so many cells; of a longer one beginning and end remain."""
    if len(text) <= cells:
        return text
    end = (cells - 1) // 2
    return f"{text[: cells - 1 - end]}…{text[len(text) - end :]}"


def _run_tables(snapshot: Snapshot, now: datetime, room: int, width: int) -> "Iterator[Table]":
    """Tables of runs in `room` lines; one that has no room for a single run is left out."""
    kept = min(1 + len(snapshot.ended_runs), ENDED_LINES) if snapshot.ended_runs else 0
    open_lines = 0
    if snapshot.open_runs and room - kept >= 2:
        is_cut = snapshot.open_count > len(snapshot.open_runs)
        open_lines = min(1 + len(snapshot.open_runs) + is_cut, room - kept)
        yield _open_table(snapshot, now, open_lines - 1, width)
    if snapshot.ended_runs and room - open_lines >= 2:
        yield _ended_table(snapshot.ended_runs[: room - open_lines - 1], width)


def _open_table(snapshot: Snapshot, now: datetime, lines: int, width: int) -> "Table":
    runs = snapshot.open_runs[: lines if snapshot.open_count <= lines else lines - 1]
    rows = [(*_names(run, width), _bar(run, width), _since(run, now)) for run in runs]
    titles = ("in progress", "run", "tasks", "since")
    table = _table(*titles, "")
    # the last column gets what the others leave over, with two blanks before it
    widest = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    table.columns[-1].max_width = max(8, width - sum(widest) - 2 * len(widest))
    for row, run in zip(rows, runs, strict=True):
        table.add_row(*row, _counts(run))
    if snapshot.open_count > len(runs):
        table.add_row(f"and {snapshot.open_count - len(runs)} more")
    return table


def _bar(run: RunProgress, width: int) -> str:
    cells = 20 if width >= WIDE else 10
    full = cells * run.done // run.total if run.total else 0
    return f"{'#' * full}{'.' * (cells - full)} {run.done}/{run.total}"


def _since(run: RunProgress, now: datetime) -> str:
    return span_text(now - (run.started_at or run.created_at))


def _counts(run: RunProgress) -> str:
    """How many tasks are in each state, what went wrong first: the end may be cut off."""
    states = sorted(run.counts, key=lambda state: (state not in FAILED_STATES, state))
    return " ".join(f"[{STATE_STYLES.get(s, 'default')}]{run.counts[s]} {s}[/]" for s in states)


def _ended_table(runs: list[RunProgress], width: int) -> "Table":
    table = _table("ended", "run", "state", "took", "at")
    for run in runs:
        took = span_text(run.ended_at - run.started_at) if run.started_at and run.ended_at else ""
        state = f"[{STATE_STYLES.get(run.state, 'default')}]{run.state}[/]"
        at = cell_text(run.ended_at)
        table.add_row(*_names(run, width), state, took, at if width >= WIDE else at.rpartition(" ")[2])
    return table


def _names(run: RunProgress, width: int) -> tuple[str, str]:
    dag_cells, run_cells = (40, 60) if width >= VERY_WIDE else (20, 24)
    return shortened(run.dag_id, dag_cells), shortened(run.run_id, run_cells)


def _error_lines(errors: list[ImportErrorRow], most: int) -> "Iterator[RenderableType]":
    for error in errors[:most]:
        yield _line(error_line(error), "red")
    if len(errors) > most:
        yield _line(f"and {len(errors) - most} more import errors; see `orch dags errors`", "red")


def _line(text: str, style: str = "") -> "RenderableType":
    from rich.text import Text  # late, as above

    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _table(*columns: str) -> "Table":
    from rich.table import Table  # late, as above

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    return table
