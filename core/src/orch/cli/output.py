"""What a command prints: rich on a terminal, plain aligned text in a pipe, JSON for programs."""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

STATE_STYLES: Mapping[str, str] = {
    "success": "green",
    "running": "bold cyan",
    "queued": "cyan",
    "scheduled": "cyan",
    "failed": "bold red",
    "upstream_failed": "red",
    "cancelled": "red",
    "up_for_retry": "yellow",
    "up_for_reschedule": "yellow",
    "deferred": "magenta",
    "awaiting_input": "magenta",
    "skipped": "bright_black",
    "removed": "bright_black",
    "none": "bright_black",
}
"""State -> its colour, in words that both rich and click understand."""

STATE_COLUMN = "state"
"""A column of this name is coloured by the state it holds."""

PLAIN_WIDTH = 100
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_COLOR = re.compile(r"\x1b\[[0-9;:]*m")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_RESET = "\x1b[0m"

Cell = str | int | float | bool | datetime | timedelta | None


class Output:
    """Standard output of one command, as a terminal or as a pipe."""

    def __init__(self, *, is_terminal: bool | None = None) -> None:
        self.is_terminal = sys.stdout.isatty() if is_terminal is None else is_terminal
        # Asked once: a live display puts another object without an encoding in place of sys.stdout.
        self.is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        self.has_colors = (
            self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )

    @property
    def width(self) -> int:
        """Return the cells of a line: those of the terminal, 100 in a pipe."""
        return shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns if self.is_terminal else PLAIN_WIDTH

    def line(self, text: str = "") -> None:
        """Print lines. A terminal gets their colours and no other control sequence, a pipe none at all."""
        click.echo(_colored(text) if self.has_colors else printable(text), color=self.has_colors)

    def note(self, text: str) -> None:
        """Print one line for people on stderr, so that stdout stays clean for programs."""
        click.echo(printable(text), err=True)

    def json(self, value: Any) -> None:
        """Print one JSON document."""
        click.echo(json.dumps(value, indent=2 if self.is_terminal else None, ensure_ascii=False))

    def json_line(self, value: Any) -> None:
        """Print one JSON value on a line of its own, at once."""
        click.echo(json.dumps(value, ensure_ascii=False))

    def styled(self, state: str, text: str) -> str:
        """Return the text in the colour of a state, or as it is where there are no colours."""
        *bold, color = STATE_STYLES.get(state, "").split() or [""]
        return click.style(text, fg=color, bold=bool(bold)) if color and self.has_colors else text

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """Print rows under headings; empty columns are left out."""
        texts = [[cell_text(cell) for cell in row] for row in rows]
        kept = [i for i, name in enumerate(columns) if not texts or any(row[i] for row in texts) or i == 0]
        names = [columns[i] for i in kept]
        body = [[row[i] for i in kept] for row in texts]
        if self.is_terminal:
            self._rich_table(names, body)
        else:
            for text in plain_table(names, body):
                click.echo(text)

    def console(self) -> "Console":
        """Return a rich console on standard output."""
        from rich.console import Console  # late: it takes tens of milliseconds, and a pipe needs none

        return Console(highlight=False)

    def _rich_table(self, names: Sequence[str], body: Iterable[Sequence[str]]) -> None:
        from rich.table import Table  # late, as above
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in names:
            table.add_column(name, overflow="fold")
        for row in body:
            table.add_row(*(Text(text, _style_of(name, text)) for name, text in zip(names, row, strict=True)))
        self.console().print(table)


def printable(text: str) -> str:
    r"""Return the text without escape sequences; other control characters are shown like `\x07`."""
    return _CONTROL.sub(_shown, _ESCAPE.sub("", text))


def _colored(text: str) -> str:
    pieces = _COLOR.split(text)
    if len(pieces) == 1:
        return printable(text)
    colors = [*_COLOR.findall(text), _RESET]
    return "".join(printable(piece) + color for piece, color in zip(pieces, colors, strict=True))


def _shown(control: re.Match[str]) -> str:
    return f"\\x{ord(control[0]):02x}"


def plain_table(names: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned lines, columns two blanks apart, headings first."""
    lines = [list(names), *body]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def cell_text(cell: Cell) -> str:
    """Return how a value reads in a table: times in UTC to the second, spans in seconds, None as nothing."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M:%S}Z"
    if isinstance(cell, timedelta):
        return span_text(cell)
    return printable(str(cell)).replace("\n", " ")


def counted(number: int, noun: str) -> str:
    """Return `1 task`, `2 tasks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def span_text(span: timedelta) -> str:
    """Return a duration for people: `0.25 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    seconds = span.total_seconds()
    if seconds < 10:
        return f"{max(seconds, 0):.2f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def _style_of(column: str, text: str) -> str:
    return STATE_STYLES.get(text, "") if column == STATE_COLUMN else ""
