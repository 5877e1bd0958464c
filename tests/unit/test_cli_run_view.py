"""How a followed run and a served home read: lines in a pipe, a drawing on a terminal."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orch.cli.commands.show import states_by_task
from orch.cli.follow import Look
from orch.cli.news import ComponentState
from orch.cli.output import Output
from orch.cli.run_view import LiveRunView, PlainRunView, progress_text, task_text, waiting_text
from orch.cli.up_snapshot import component_text, event_text
from orch.domain.dagspec import DagSpec, TaskSpec
from orch.settings import load_settings
from orch.store.queries.reading import RunRow
from orch.store.queries.reading_tasks import TaskInstanceRow
from orch.store.queries.waiting import Wait
from orch.store.queries.watching import RunEvent

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
RUN = RunRow(1, "d", "r1", "manual", "running", None, 1, None, NOON, NOON, NOON, None, {}, "ada")


def task(
    name: str, state: str, *, map_index: int = -1, try_number: int = 1, max_tries: int = 1
) -> TaskInstanceRow:
    ended_at = NOON + timedelta(seconds=2) if state in {"success", "failed"} else None
    return TaskInstanceRow(
        hash((name, map_index)), name, map_index, state, try_number, max_tries, 1, None, None, NOON, None, NOON,
        ended_at, "default", "LocalExecutor",
    )  # fmt: skip


def look(*tasks: TaskInstanceRow, state: str = "running", wait: Wait | None = None) -> Look:
    names = dict.fromkeys(row.task_id for row in tasks)
    spec = DagSpec("d", tuple(TaskSpec(name, "Test") for name in names))
    return Look(replace(RUN, state=state), spec, list(tasks), wait)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (task("a", "success"), "a: success in 2.00 s"),
        (task("a", "success", max_tries=3), "a: success in 2.00 s"),
        (task("a", "success", try_number=2, max_tries=3), "a: success in 2.00 s on try 2 of 3"),
        (task("a", "failed", max_tries=3), "a: failed in 2.00 s on try 1 of 3"),
        (task("a", "success", map_index=4), "a[4]: success in 2.00 s"),
        (task("a", "upstream_failed", try_number=0), "a: upstream_failed"),
    ],
)
def test_a_task_is_told_with_its_time_and_tries(row, text):
    assert task_text(row) == text


def test_progress_counts_ends_and_states():
    tasks = [task("a", "success"), task("b", "skipped"), task("c", "running"), task("d", "none")]
    assert progress_text(tasks) == "2/4 done: 1 success, 1 skipped, 1 running, 1 none"
    assert progress_text(tasks, bar=True).startswith(f"[{'#' * 15}{'.' * 15}] 2/4")
    assert progress_text([], bar=True) == "0/0 done: "


def test_a_pipe_gets_each_end_once(capsys):
    view = PlainRunView(Output(is_terminal=False))
    view.show(look(task("a", "running"), task("b", "none")))
    view.show(look(task("a", "success"), task("b", "running")))
    view.show(look(task("a", "success"), task("b", "success"), state="success"))
    assert capsys.readouterr().out.splitlines() == [
        "run r1 of d: 2 tasks",
        "a: success in 2.00 s",
        "b: success in 2.00 s",
    ]


def test_a_run_without_tasks_is_told_once(capsys):
    view = PlainRunView(Output(is_terminal=False))
    view.show(look())
    view.show(look(state="success"))
    assert capsys.readouterr().out.splitlines() == ["run r1 of d: 0 tasks"]


def waiting_for_retry(try_number: int) -> TaskInstanceRow:
    row = task("a", "up_for_retry", try_number=try_number, max_tries=3)
    return replace(row, reason_detail="ValueError: x", due_at=row.state_since + timedelta(seconds=5))


def test_each_failed_try_is_told_with_its_error_and_the_next_start(capsys):
    view = PlainRunView(Output(is_terminal=False))
    for try_number in (1, 1, 2):
        view.show(look(waiting_for_retry(try_number)))
    assert capsys.readouterr().out.splitlines()[1:] == [
        "a: up_for_retry on try 1 of 3: ValueError: x; again in 5 s",
        "a: up_for_retry on try 2 of 3: ValueError: x; again in 5 s",
    ]


def test_a_terminal_shows_failed_tries_above_the_drawing(capsys):
    with LiveRunView(Output(is_terminal=True)) as view:
        view.show(look(waiting_for_retry(1)))
        view.show(look(waiting_for_retry(1)))
    assert capsys.readouterr().out.count("try 1 of 3: ValueError: x; again in 5 s") == 1


def test_of_a_large_run_only_failures_are_told_by_name(capsys):
    tasks = [task(f"t{n}", "success") for n in range(150)]
    PlainRunView(Output(is_terminal=False)).show(look(*tasks, task("bad", "failed"), state="failed"))
    assert capsys.readouterr().out.splitlines() == ["run r1 of d: 151 tasks", "bad: failed in 2.00 s"]


def test_why_a_run_does_not_start_is_told_once_with_the_remedy(capsys):
    wait = Wait("max_active_runs", NOON, ("d r0",))
    view = PlainRunView(Output(is_terminal=False))
    view.show(look(task("a", "none"), state="queued", wait=wait))
    view.show(look(task("a", "none"), state="queued", wait=wait))
    (_, line) = capsys.readouterr().out.splitlines()
    assert "as many active runs as it may have" in line
    assert "Blocked by: d r0." in line
    assert waiting_text(look(task("a", "none"), wait=Wait("run_queued", NOON))) is None


def test_a_terminal_shows_the_drawing_and_leaves_it_at_the_end(capsys):
    with LiveRunView(Output(is_terminal=True)) as view:
        view.show(look(task("a", "running"), task("b", "none")))
        view.show(look(task("a", "success"), task("b", "success"), state="success"))
    out = capsys.readouterr().out
    last = out[out.rindex("r1") :]
    assert "2/2 done: 2 success" in last
    assert "running" not in last


def test_a_mapped_task_shows_the_state_that_needs_a_person_most():
    rows = [
        task("m", "success", map_index=0),
        task("m", "failed", map_index=1),
        task("m", "none", map_index=2),
    ]
    assert states_by_task(rows) == {"m": "failed"}


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (ComponentState("worker", "started", 7), "worker started (pid 7)"),
        (
            ComponentState("worker", "restarting", 7, "signal 9 (SIGKILL)"),
            "worker (pid 7) ended: signal 9 (SIGKILL); it is started again",
        ),
        (ComponentState("worker", "ended", 7, "exit code 0"), "worker ended: exit code 0"),
        (
            ComponentState("everything", "stopping"),
            "stopping; running tasks get at most 30 s to end (again: at once)",
        ),
    ],
)
def test_components_are_told_with_what_became_of_them(state, text, tmp_path):
    assert component_text(load_settings(tmp_path, {}), state) == text


def test_runs_are_told_with_how_long_they_took():
    event = RunEvent(1, "d", "r1", "success", NOON, NOON + timedelta(seconds=3))
    assert event_text(event) == "run d r1 success in 3.00 s"
    assert event_text(replace(event, new="running")) == "run d r1 running"
