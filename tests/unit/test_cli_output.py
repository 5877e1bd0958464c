"""Output: tables for a pipe, text that cannot steer a terminal, values for people."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from orch.cli.output import Output, cell_text, counted, plain_table, printable, span_text
from orch.domain.states import TaskState


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]52;c;aGk=\x1b\\x", "x"),
        ("bell\x07", "bell\\x07"),
        ("a\rb", "a\\x0db"),
        ("tab\tstays", "tab\tstays"),
        ("\x9b31mc1", "\\x9b31mc1"),
        ("ünï → ✓", "ünï → ✓"),
    ],
)
def test_text_for_a_pipe_has_no_control_sequences(text, shown):
    assert printable(text) == shown


def test_a_terminal_gets_colours_and_nothing_else_that_steers_it(capsys, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    Output(is_terminal=True).line("\x1b[31mred\x1b[2J\x1b]0;title\x07 end")
    assert capsys.readouterr().out == "\x1b[31mred end\x1b[0m\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_are_left_out_on_request(capsys, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    output = Output(is_terminal=True)
    output.line(output.styled("failed", "failed"))
    assert capsys.readouterr().out == "failed\n"


@pytest.mark.parametrize("state", TaskState)
def test_every_state_has_a_colour(state, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Output(is_terminal=True).styled(state, state) != state


def test_a_table_in_a_pipe_is_aligned_and_has_no_empty_column(capsys):
    Output(is_terminal=False).table(("id", "reason", "n"), [("a", None, 1), ("long", None, 22)])
    assert capsys.readouterr().out == "id    n\na     1\nlong  22\n"


def test_a_table_without_rows_shows_its_headings(capsys):
    Output(is_terminal=False).table(("id", "n"), [])
    assert capsys.readouterr().out == "id  n\n"


def test_a_table_on_a_terminal_is_drawn_by_rich(capsys):
    Output(is_terminal=True).table(("task", "state"), [("a[b]", "success")])
    assert "a[b]" in capsys.readouterr().out


def test_json_in_a_pipe_is_one_line(capsys):
    Output(is_terminal=False).json([{"a": "ü"}])
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == [{"a": "ü"}]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.00 s"),
        (0.254, "0.25 s"),
        (12.4, "12 s"),
        (185, "3 min 05 s"),
        (59.9, "60 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_spans_read_well(seconds, text):
    assert span_text(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        (True, "yes"),
        (3, "3"),
        ("two\nlines\x1b[1m", "two lines"),
        (datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), "2026-01-02 03:04:05Z"),
        (timedelta(seconds=1), "1.00 s"),
    ],
)
def test_cells_read_well(cell, text):
    assert cell_text(cell) == text


def test_plain_tables_have_no_trailing_blanks():
    assert plain_table(["a", "b"], [["x", ""]]) == ["a  b", "x"]


def test_numbers_agree_with_their_nouns():
    assert [counted(n, "task") for n in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]
