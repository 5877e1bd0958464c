"""`orch why`: the reason why a run, or a task of it, is where it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import click

from orch.app.reader import live_roles, open_reader
from orch.cli.commands.status import headline, in_order
from orch.cli.completing import dag_ids, run_ids, task_ids
from orch.cli.output import Output, cell_text, span_text
from orch.cli.site import json_option, with_settings
from orch.clock import isoformat, system_clock
from orch.domain.reasons import REASONS, ReasonText
from orch.domain.states import OPEN, RUN_TERMINAL, TERMINAL, TaskState
from orch.settings import Settings
from orch.store.queries import reading, reading_tasks, waiting
from orch.store.queries.past_roots import PastRoot, root_of
from orch.store.queries.reading import RunRow
from orch.store.queries.reading_tasks import TaskInstanceRow
from orch.store.queries.waiting import RunFacts, Wait
from orch.store.reader import Reader, ReadTx

MOST_NAMES = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """Why one thing waits: the run itself, or one of its task instances."""

    state: str
    wait: Wait
    task_id: str | None = None
    map_index: int = -1
    detail: str | None = None
    """What is known beyond the reason, on one line: the error, the words of a skip, the trigger rule."""
    has_log: bool = False
    """True when the log of the last try says more."""
    remedy: str | None = None
    """What to do in this very case, instead of what the reason says in general."""

    @property
    def text(self) -> ReasonText:
        """Return sentence and remedy of the reason."""
        text = REASONS.get(self.wait.reason) or ReasonText(self.wait.reason, "")
        return text if self.remedy is None else replace(text, remedy=self.remedy)


@click.command()
@click.argument("dag_id", metavar="DAG", shell_complete=dag_ids)
@click.argument("task_id", metavar="[TASK]", required=False, shell_complete=task_ids)
@click.option(
    "--run", "run_id", metavar="ID", shell_complete=run_ids, help="The run; the newest one without."
)
@json_option
@with_settings()
def why(settings: Settings, dag_id: str, task_id: str | None, *, run_id: str | None, as_json: bool) -> None:
    """Say why a run, or a task of it, is not running.

    Each line names the reason, what blocks it, since when, and what to do.
    """
    output = Output()
    with open_reader(settings) as reader:
        if run_id is None and (text := _without_runs(reader, dag_id)) is not None:
            output.json([]) if as_json else output.line(text)
            return
        roles = live_roles(reader)
        run, answers = _look(reader, dag_id, task_id, run_id, roles)
    if as_json:
        output.json([_as_document(run, answer) for answer in answers])
        return
    now = system_clock()
    output.line(headline(run, now, output))
    for line in _lines(run, answers, now, output):
        output.line(line)
    if not answers:
        output.line("  nothing waits")


def _without_runs(reader: Reader, dag_id: str) -> str | None:
    """Return why a DAG has no run at all; None when it has one."""
    with reader.read() as tx:
        dag = reading.find_dag(tx, dag_id)
        if reading.list_runs(tx, dag_id, limit=1):
            return None
    if dag.is_paused:
        return f"{dag_id} has no run and gets none: it is paused. Unpause it."
    if dag.next_run_at is None:
        return f"{dag_id} has no run: nothing is scheduled. Create one with `orch trigger {dag_id}`."
    return f"{dag_id} has no run yet: the first one is due at {cell_text(dag.next_run_at)}."


def _look(
    reader: Reader, dag_id: str, task_id: str | None, run_id: str | None, roles: frozenset[str]
) -> tuple[RunRow, list[Answer]]:
    with reader.read() as tx:
        run = reading.find_run(tx, dag_id, run_id)
        spec = reading.spec_of(tx, run.dag_version_id)
        tasks = in_order(reading_tasks.list_task_instances(tx, run.run_pk), spec)
        facts = waiting.facts_of(tx, run, spec, tasks)
        if task_id is not None:
            reading_tasks.require_task(tx, run, task_id)
        answers = [*_about_run(tx, facts, roles), *_about_tasks(tx, facts, task_id)]
    if "worker" not in roles:
        answers = [_without_worker(answer) for answer in answers]
    return run, answers


def _about_run(tx: ReadTx, facts: RunFacts, roles: frozenset[str]) -> Iterable[Answer]:
    run = facts.run
    if run.state not in RUN_TERMINAL and "scheduler" not in roles:
        yield Answer(run.state, Wait("no_live_scheduler", run.created_at))
    elif (wait := waiting.wait_of_run(tx, facts)) is not None:
        is_early = wait.reason == "run_after"
        yield Answer(run.state, wait, detail=f"due at {cell_text(run.run_after)}" if is_early else None)


def _about_tasks(tx: ReadTx, facts: RunFacts, task_id: str | None) -> Iterable[Answer]:
    """The named task in any state; without a name, all that wait and all that ended badly."""
    roots: dict[tuple[str, str], PastRoot | None] = {}
    of_run = waiting.wait_of_run(tx, facts)
    for task in facts.tasks:
        if task_id not in (None, task.task_id):
            continue
        wait = waiting.wait_of_task(tx, facts, task)
        if wait is not None and (task_id or task.state in _TOLD):
            detail = _detail(facts, task, wait, of_run)
            has_log = task.state in _LOGGED and task.try_number > 0
            answer = Answer(task.state, wait, task.task_id, task.map_index, detail, has_log)
            if task.ti_id in facts.holds:
                key = (task.task_id, wait.reason)
                if key not in roots:
                    roots[key] = root_of(tx, facts, task)
                answer = _with_root(answer, roots[key])
            yield answer


def _detail(facts: RunFacts, task: TaskInstanceRow, wait: Wait, of_run: Wait | None) -> str | None:
    spec = facts.spec.by_id.get(task.task_id)
    if wait.reason == "skipped_by_trigger_rule" and spec is not None:
        return f"trigger rule {spec.trigger_rule}"
    if wait.reason == "run_not_begun" and of_run is not None and of_run.reason in REASONS:
        return REASONS[of_run.reason].sentence
    known = [] if task.reason_detail is None or wait.reason != task.reason else task.reason_detail.split()
    if wait.reason == "retry_delay" and task.due_at is not None:
        known = [f"next try due at {cell_text(task.due_at)}{';' if known else ''}", *known]
    return " ".join(known) or None  # what is stored for another reason is left out


def _with_root(answer: Answer, root: PastRoot | None) -> Answer:
    """Name what in the end holds a task back, and the command that helps when waiting does not."""
    if root is None:
        return answer
    name = f"{root.run.dag_id} {root.run.run_id} {root.task_id}"
    again = f"orch trigger {root.run.dag_id} --logical-date {isoformat(root.date)}"
    remedy = f"Mend it and run that date again: `{again}`." if root.has_ended else "Wait for it."
    return replace(answer, detail=f"held by: {name} ({root.state})", remedy=remedy)


_LOGGED = (TaskState.FAILED, TaskState.UP_FOR_RETRY, TaskState.CANCELLED)
_TOLD = OPEN | {TaskState.FAILED, TaskState.UPSTREAM_FAILED, TaskState.SKIPPED, TaskState.CANCELLED}


def _without_worker(answer: Answer) -> Answer:
    if answer.state == TaskState.QUEUED and answer.task_id is not None:
        return replace(answer, wait=Wait("no_live_worker", answer.wait.since), detail=None)
    return answer


def _as_document(run: RunRow, answer: Answer) -> dict[str, Any]:
    return {
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "task_id": answer.task_id,
        "map_index": answer.map_index,
        "state": answer.state,
        "reason": answer.wait.reason,
        "sentence": answer.text.sentence,
        "detail": answer.detail,
        "blocking": list(answer.wait.blocking),
        "since": isoformat(answer.wait.since),
        "remedy": answer.text.remedy,
    }


def _lines(run: RunRow, answers: Sequence[Answer], now: datetime, output: Output) -> Iterable[str]:
    """Answers that say the same are told once."""
    alike: dict[tuple[str, str, str | None, tuple[str, ...]], list[Answer]] = {}
    for answer in answers:
        key = (answer.state, answer.wait.reason, answer.detail, answer.wait.blocking)
        alike.setdefault(key, []).append(answer)
    for (state, reason, detail, blocking), group in alike.items():
        first = group[0]
        since = min(answer.wait.since for answer in group)
        ended = state in TERMINAL or state in RUN_TERMINAL
        when = f", {span_text(now - since)} ago" if ended else f", for {span_text(now - since)}"
        yield f"  {_names(group)}  {output.styled(state, state)}{when}  [{reason}]"
        yield f"    {first.text.sentence} {first.text.remedy}".rstrip()
        if detail:
            yield f"    {detail}"
        if first.has_log:
            yield f"    log: {_log_command(run, first)}"
        if blocking:
            yield f"    blocked by: {', '.join(blocking)}"


def _log_command(run: RunRow, answer: Answer) -> str:
    index = f" --map-index {answer.map_index}" if answer.map_index >= 0 else ""
    return f"orch task-log {run.dag_id} {answer.task_id} --run {run.run_id}{index}"


def _names(group: Sequence[Answer]) -> str:
    names = [_name(answer) for answer in group[:MOST_NAMES]]
    more = len(group) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _name(answer: Answer) -> str:
    if answer.task_id is None:
        return "the run"
    return answer.task_id if answer.map_index < 0 else f"{answer.task_id}[{answer.map_index}]"
