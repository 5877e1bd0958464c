"""`orch task-log`: what a task wrote."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from orch.app.reader import open_reader
from orch.cli.completing import dag_ids, run_ids, task_ids
from orch.cli.output import Output
from orch.cli.site import json_option, with_settings
from orch.clock import isoformat
from orch.errors import NotFound
from orch.processes import StopSignal
from orch.settings import Settings
from orch.store.queries import reading, reading_tasks
from orch.store.queries.reading import RunRow
from orch.store.queries.reading_tasks import AttemptRow, TaskInstanceRow
from orch.store.reader import Reader
from orch.worker.logs import LogLine, attempt_log_path, read_log

GLANCE_SECONDS = 0.1


@click.command("task-log")
@click.argument("dag_id", metavar="DAG", shell_complete=dag_ids)
@click.argument("task_id", metavar="TASK", shell_complete=task_ids)
@click.option(
    "--run", "run_id", metavar="ID", shell_complete=run_ids, help="The run; the newest one without."
)
@click.option("--map-index", type=click.IntRange(min=0), help="Which copy of a mapped task.")
@click.option("--try", "try_number", type=click.IntRange(min=1), help="Which try; without it the newest one.")
@click.option("--follow", is_flag=True, help="Go on until the task has ended.")
@json_option
@with_settings()
def task_log(
    settings: Settings,
    dag_id: str,
    task_id: str,
    *,
    run_id: str | None,
    map_index: int | None,
    try_number: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Print the log of a task.

    When a try was started more than once because its worker was lost, each start has its part.
    """
    output = Output()
    with open_reader(settings) as reader:
        with reader.read() as tx:
            run = reading.find_run(tx, dag_id, run_id)
            task = reading_tasks.find_task_instance(tx, run, task_id, map_index)
        log = TaskLog(settings, reader, run, task, try_number)
        for line in _until_stopped(log) if follow else log.lines():
            print_line(output, line, as_json=as_json)


def _until_stopped(log: "TaskLog") -> Iterator[LogLine]:
    with StopSignal() as stop:
        yield from log.follow(stop)
        if stop.is_set:
            raise KeyboardInterrupt


def print_line(output: Output, line: LogLine, *, as_json: bool = False) -> None:
    """Print one line of a log: as a JSON object, or with its time and, unless it is stdout, its stream."""
    if as_json:
        output.json_line({"at": isoformat(line.at), "stream": line.stream, "text": line.text})
        return
    time = f"{line.at:%H:%M:%S}.{line.at.microsecond // 1000:03d}" if line.at else "?"
    mark = "" if line.stream == "stdout" else f"[{line.stream}] "
    output.line(f"{time} {mark}{line.text}")


class TaskLog:
    """The logs of one try of a task instance, one file per attempt."""

    def __init__(
        self,
        settings: Settings,
        reader: Reader,
        run: RunRow,
        task: TaskInstanceRow,
        try_number: int | None = None,
    ) -> None:
        self._folder = settings.core.logs_folder
        self._reader = reader
        self._run = run
        self._task = task
        self._try = try_number

    def lines(self) -> Iterator[LogLine]:
        """Yield the lines that are there; NotFound when the try has not begun."""
        attempts = self._attempts()
        if not attempts:
            raise NotFound(self._nothing_yet())
        for path in map(self._path, attempts):
            if path.exists():
                yield from read_log(path)
            else:
                yield LogLine(
                    None, "orch", f"{path} is not there: it was written on another host, or deleted"
                )

    def follow(self, stop: StopSignal) -> Iterator[LogLine]:
        """Yield the lines that are there and those to come, until the task has ended or `stop` is set."""
        told: dict[Path, int] = {}
        sizes: dict[Path, int] = {}
        while not stop.is_set:
            has_ended = self._has_ended()  # asked first, so that the last lines are not missed
            for path in map(self._path, self._attempts()):
                size = path.stat().st_size if path.exists() else 0
                if size != sizes.get(path, 0):
                    sizes[path] = size
                    for line in itertools.islice(read_log(path), told.get(path, 0), None):
                        told[path] = told.get(path, 0) + 1
                        yield line
            if has_ended:
                return
            stop.wait(GLANCE_SECONDS)

    def _attempts(self) -> Sequence[AttemptRow]:
        with self._reader.read() as tx:
            attempts = reading_tasks.list_attempts(tx, self._task.ti_id)
        newest = max((attempt.try_number for attempt in attempts), default=0)
        return [attempt for attempt in attempts if attempt.try_number == (self._try or newest)]

    def _has_ended(self) -> bool:
        with self._reader.read() as tx:
            ended = reading_tasks.has_ended(tx, self._task.ti_id)
        attempts = self._attempts()
        return ended or (self._try is not None and bool(attempts) and attempts[-1].outcome is not None)

    def _path(self, attempt: AttemptRow) -> Path:
        if attempt.log_path:
            return self._folder / attempt.log_path
        run, task = self._run, self._task
        name = attempt_log_path(
            run.dag_id, run.run_id, task.task_id, task.map_index, attempt.try_number, attempt.epoch
        )
        return self._folder / name

    def _nothing_yet(self) -> str:
        name = f"task {self._task.task_id!r} of run {self._run.run_id!r}"
        if self._try is None or self._task.try_number == 0:
            remedy = f"`orch why {self._run.dag_id} {self._task.task_id} --run {self._run.run_id}` says why"
            return f"{name} has not started yet; {remedy}"
        return f"{name} has no try {self._try}; its newest is {self._task.try_number}"
