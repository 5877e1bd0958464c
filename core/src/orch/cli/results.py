"""What a run has given: the return values of its last tasks, or what went wrong and where to read more."""

import json
from collections import deque
from collections.abc import Iterable

from orch.cli.commands.task_log import TaskLog
from orch.cli.follow import Look
from orch.cli.output import Output, printable
from orch.domain.reasons import REASONS
from orch.domain.states import TaskState
from orch.errors import NotFound
from orch.settings import Settings
from orch.store.queries import reading_tasks
from orch.store.queries.reading_tasks import TaskInstanceRow
from orch.store.reader import Reader

MOST_RESULTS = 20
MOST_CHARACTERS = 4000
MOST_FAILURES = 5
LAST_LINES = 8


def print_end(settings: Settings, reader: Reader, look: Look, output: Output) -> None:
    """Print results and failures of a run that has ended."""
    for line in _results(reader, look):
        output.line(line)
    for line in _failures(settings, reader, look):
        output.line(line)


def _results(reader: Reader, look: Look) -> Iterable[str]:
    """The return values of the leaves: tasks that nothing waits for."""
    with reader.read() as tx:
        values = reading_tasks.return_values(tx, look.run.run_pk, look.spec.graph.leaves())
    shown = [(key, json.loads(text)) for key, text in values.items() if text != "null"]
    for (task_id, map_index), value in shown[:MOST_RESULTS]:
        name = task_id if map_index < 0 else f"{task_id}[{map_index}]"
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(text) > MOST_CHARACTERS:
            text = f"{text[:MOST_CHARACTERS]}... ({len(text)} characters)"
        lines = text.splitlines() or [""]
        yield from (
            [f"{name}: {lines[0]}"] if len(lines) == 1 else [f"{name}:", *(f"  {line}" for line in lines)]
        )
    if len(shown) > MOST_RESULTS:
        yield f"... and the results of {len(shown) - MOST_RESULTS} more tasks"


def _failures(settings: Settings, reader: Reader, look: Look) -> Iterable[str]:
    failed = [task for task in look.tasks if task.state == TaskState.FAILED]
    for task in failed[:MOST_FAILURES]:
        yield ""
        yield _headline(reader, task)
        yield from _last_lines(settings, reader, look, task)
        where = f"{look.run.dag_id} {task.task_id} --run {look.run.run_id}"
        index = f" --map-index {task.map_index}" if task.map_index >= 0 else ""
        yield f"  more: orch task-log {where}{index}"
    if len(failed) > MOST_FAILURES:
        yield f"... and {len(failed) - MOST_FAILURES} more failed tasks: orch why {look.run.dag_id}"


def _headline(reader: Reader, task: TaskInstanceRow) -> str:
    with reader.read() as tx:
        attempts = reading_tasks.list_attempts(tx, task.ti_id)
    error = next((attempt.error for attempt in reversed(attempts) if attempt.error), None)
    reason = REASONS.get(task.reason or "")
    text = error or (reason.sentence if reason else task.reason or "no reason is stored")
    tries = f" on try {task.try_number} of {task.max_tries}" if task.max_tries > 1 else ""
    name = task.task_id if task.map_index < 0 else f"{task.task_id}[{task.map_index}]"
    return f"task {name!r} failed{tries}: {printable(text)}"


def _last_lines(settings: Settings, reader: Reader, look: Look, task: TaskInstanceRow) -> Iterable[str]:
    try:
        lines = deque(TaskLog(settings, reader, look.run, task).lines(), maxlen=LAST_LINES)
    except (NotFound, OSError):
        return
    for line in lines:
        yield f"  | {line.text}"
