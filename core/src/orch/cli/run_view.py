"""How a followed run looks: a live drawing on a terminal, one line per ended task in a pipe."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, Self

from orch.cli.commands.show import drawing
from orch.cli.commands.status import headline
from orch.cli.follow import Look
from orch.cli.output import Output, counted, printable, span_text
from orch.clock import monotonic, system_clock
from orch.domain.reasons import REASONS
from orch.domain.states import FAILED_STATES, TERMINAL, TaskState
from orch.store.queries.reading_tasks import TaskInstanceRow

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_TASK_LINES = 100
"""A larger run is told in numbers, and by name only where it goes wrong."""
PROGRESS_SECONDS = 2.0
BAR_CELLS = 30


class RunView(Protocol):
    """Shows looks at one run to a person."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def show(self, look: Look) -> None:
        """Show the run as it is now."""

    def say(self, text: str) -> None:
        """Say something beside the run."""


def run_view(output: Output) -> RunView:
    """Return the view that fits standard output."""
    return LiveRunView(output) if output.is_terminal else PlainRunView(output)


class PlainRunView:
    """Lines for a pipe: each says what is new."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._told: dict[int, tuple[str, int]] = {}
        self._is_begun = False
        self._wait: str | None = None
        self._progress: str | None = None
        self._next_progress = monotonic() + PROGRESS_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        return

    def say(self, text: str) -> None:
        """Print the text."""
        self._output.line(text)

    def show(self, look: Look) -> None:
        """Print what has changed since the last look."""
        if not self._is_begun:
            self._is_begun = True
            self.say(f"run {look.run.run_id} of {look.run.dag_id}: {counted(len(look.tasks), 'task')}")
        if (text := waiting_text(look)) != self._wait:
            self._wait = text
            if text:
                self.say(text)
        for task in look.tasks:
            now = (task.state, task.try_number)
            if self._told.get(task.ti_id) != now:
                self._told[task.ti_id] = now
                self._tell(task, is_large=len(look.tasks) > MOST_TASK_LINES)
        if monotonic() >= self._next_progress and not look.has_ended:
            self._next_progress = monotonic() + PROGRESS_SECONDS
            self._tell_progress(progress_text(look.tasks))

    def _tell_progress(self, text: str) -> None:
        if text != self._progress:
            self._progress = text
            self.say(text)

    def _tell(self, task: TaskInstanceRow, *, is_large: bool) -> None:
        if (
            task.state in FAILED_STATES
            or task.state == TaskState.UP_FOR_RETRY
            or (task.state in TERMINAL and not is_large)
        ):
            self.say(task_text(task))


class LiveRunView:
    """The drawing of the run, redrawn in place."""

    def __init__(self, output: Output) -> None:
        # Imported here: a pipe needs no rich, and rich takes tens of milliseconds.
        from rich.live import Live

        self._output = output
        self._live = Live(console=output.console(), auto_refresh=False, transient=True)
        self._last: Look | None = None
        self._retries: set[tuple[int, int]] = set()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()
        if self._last is not None:
            for line in self._lines(self._last, system_clock()):
                self._output.line(line)

    def say(self, text: str) -> None:
        """Print the text above the drawing."""
        self._live.console.print(text, markup=False)

    def show(self, look: Look) -> None:
        """Redraw the run."""
        self._last = look
        for task in look.tasks:
            key = (task.ti_id, task.try_number)
            if task.state == TaskState.UP_FOR_RETRY and key not in self._retries:
                self._retries.add(key)
                self.say(printable(task_text(task)))
        self._live.update(self._fitting(look), refresh=True)

    def _lines(self, look: Look, now: datetime) -> list[str]:
        head = [headline(look.run, now, self._output), ""]
        foot = ["", progress_text(look.tasks, bar=True)]
        if text := waiting_text(look):
            foot.append(text)
        return [*head, *drawing(look.spec, look.tasks, self._output), *foot]

    def _fitting(self, look: Look) -> "RenderableType":
        """While it runs, only as many lines as the terminal has; the end of the view shows all."""
        from rich.text import Text  # late, as above

        lines = self._lines(look, system_clock())
        room = max(self._live.console.height - 2, 8)
        if len(lines) > room:
            lines = [*lines[: room - 4], "...", *lines[-3:]]
        return Text.from_ansi("\n".join(lines), no_wrap=True)


def waiting_text(look: Look) -> str | None:
    """Return why the run waits, or was ended early, with the remedy; None when it goes its way."""
    if look.wait is None or look.wait.reason == "run_queued":
        return None
    text = REASONS[look.wait.reason]
    what, who = ("ended early", "Because of") if look.has_ended else ("waiting", "Blocked by")
    blocked = f" {who}: {', '.join(look.wait.blocking)}." if look.wait.blocking else ""
    return f"{what}: {text.sentence}{blocked} {text.remedy}"


def progress_text(tasks: Sequence[TaskInstanceRow], *, bar: bool = False) -> str:
    """Return how many tasks have ended, and how many are in each state."""
    counts = Counter(task.state for task in tasks)
    done = sum(number for state, number in counts.items() if state in TERMINAL)
    text = f"{done}/{len(tasks)} done: " + ", ".join(
        f"{number} {state}" for state, number in counts.most_common()
    )
    if not bar or not tasks:
        return text
    full = BAR_CELLS * done // len(tasks)
    return f"[{'#' * full}{'.' * (BAR_CELLS - full)}] {text}"


def task_text(task: TaskInstanceRow) -> str:
    """Return one line on a task that has reached a state worth telling."""
    name = task.task_id if task.map_index < 0 else f"{task.task_id}[{task.map_index}]"
    took = f" in {span_text(task.ended_at - task.started_at)}" if task.started_at and task.ended_at else ""
    is_telling = task.max_tries > 1 and task.try_number and (task.try_number > 1 or task.state != "success")
    tries = f" on try {task.try_number} of {task.max_tries}" if is_telling else ""
    return f"{name}: {task.state}{took}{tries}{_retry_text(task)}"


def _retry_text(task: TaskInstanceRow) -> str:
    """Why the try failed and when the next one begins; nothing for a task that is not tried again."""
    if task.state != TaskState.UP_FOR_RETRY:
        return ""
    error = f": {' '.join(task.reason_detail.split())}" if task.reason_detail else ""
    again = f"; again in {(task.due_at - task.state_since).total_seconds():.3g} s" if task.due_at else ""
    return error + again
