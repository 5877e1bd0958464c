"""The table of transitions: complete, legal, and drawn into the docs."""

from pathlib import Path

import pytest

from orch.domain.states import (
    ALLOWED,
    OPEN,
    RUN_TERMINAL,
    RUN_TRANSITIONS,
    TERMINAL,
    TRANSITIONS,
    Actor,
    RunState,
    TaskState,
    find_transition,
)

DOCS = Path(__file__).parents[2] / "docs" / "states.md"


def test_every_state_is_open_or_terminal():
    assert set(TaskState) == OPEN | TERMINAL
    assert not OPEN & TERMINAL


@pytest.mark.parametrize("state", sorted(OPEN))
def test_every_open_state_reaches_an_end(state):
    reached, frontier = {state}, [state]
    while frontier:
        old = frontier.pop()
        for a, new, actor in ALLOWED:
            if a is old and new not in reached and actor is not Actor.OPERATOR:
                reached.add(new)
                frontier.append(new)
    assert reached & TERMINAL


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_only_an_operator_leaves_a_terminal_state(state):
    assert {actor for old, _, actor in ALLOWED if old is state} <= {Actor.OPERATOR}


def test_every_state_but_none_can_be_entered():
    assert {new for _, new, _ in ALLOWED} == set(TaskState)


def test_nobody_but_a_worker_starts_a_task():
    starters = {actor for old, new, actor in ALLOWED if new is TaskState.RUNNING}
    assert starters == {Actor.WORKER}
    assert find_transition(TaskState.SCHEDULED, TaskState.RUNNING, Actor.WORKER) is None


def test_a_move_names_its_row_of_the_table():
    row = find_transition(TaskState.RUNNING, TaskState.SCHEDULED, Actor.RESCUE)
    assert row is not None
    assert row.name == "T8"


def test_runs_reach_an_end_and_reopen_only_to_running():
    assert RUN_TRANSITIONS[RunState.RUNNING] == RUN_TERMINAL
    assert all(RUN_TRANSITIONS[state] == {RunState.RUNNING} for state in RUN_TERMINAL)


def draw_table() -> str:
    """Return the table as the docs show it; `python -m tests.unit.test_states` writes it there."""
    lines = ["| # | from | to | who | guard |", "|---|---|---|---|---|"]
    for row in TRANSITIONS:
        cells = (sorted(row.old), sorted(row.new), sorted(row.actors))
        lines.append(f"| {row.name} | " + " | ".join(", ".join(cell) for cell in cells) + f" | {row.guard} |")
    return "\n".join(lines)


def test_the_docs_show_this_table():
    assert draw_table() in DOCS.read_text(), "run `python tests/unit/test_states.py` to write docs/states.md"


if __name__ == "__main__":
    head, _, tail = DOCS.read_text().partition("<!-- table -->\n")
    _, _, rest = tail.partition("<!-- end -->")
    DOCS.write_text(f"{head}<!-- table -->\n{draw_table()}\n<!-- end -->{rest}")
