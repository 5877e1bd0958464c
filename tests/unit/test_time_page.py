"""Every example of docs/time.md is computed, and every `orch cron` that a page shows answers as shown."""

import re
import shlex
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from orch.cli.main import cli
from orch.domain.cron import CronError, CronExpression, DstRule, next_tick
from orch.domain.cron_text import MACROS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "time.md"
ZONES = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"}


class Row(NamedTuple):
    """One row of a table, the heading above it, and the names of its columns."""

    heading: str
    columns: tuple[str, ...]
    cells: tuple[str, ...]


def rows() -> Iterator[Row]:
    heading = ""
    columns: tuple[str, ...] = ()
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        cells = tuple(cell.strip() for cell in line.strip("|").split("|")) if line.startswith("|") else ()
        if cells and columns and not set(cells[0]) <= {"-"}:
            yield Row(heading, columns, cells)
        columns = cells and (columns or cells)


def table(*columns: str) -> list[Row]:
    return [row for row in rows() if row.columns == columns]


def code(cell: str) -> str:
    match = re.fullmatch("`(.+)`", cell)
    assert match, f"{cell!r} is not an expression in back quotes"
    return match[1]


def shown(moment: datetime) -> str:
    return moment.isoformat(" ", "seconds" if moment.second else "minutes")


EXAMPLES = table("expression", "in words", "first matches")
MISTAKES = table("expression", "column", "what is wrong")
CHANGES = table("expression", "from", "rule", "ticks")


def test_the_page_has_examples_for_every_rule_in_every_zone():
    assert len(EXAMPLES) >= 15
    assert len(MISTAKES) >= 10
    assert {row.heading for row in CHANGES} == ZONES
    rules: dict[tuple[str, ...], list[str]] = {}
    for row in CHANGES:
        rules.setdefault((row.heading, *row.cells[:2]), []).extend(row.cells[2].split(", "))
    assert {key: sorted(named) for key, named in rules.items()} == {key: sorted(DstRule) for key in rules}


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: row.cells[0])
def test_an_example_says_and_matches_what_the_page_says(row):
    text, words, matches = row.cells
    expression = CronExpression.parse(code(text))
    moment, found = datetime(2024, 1, 1) - timedelta(seconds=1), []
    for _ in matches.split(", "):
        following = expression.next_after(moment)
        assert following is not None
        moment = following
        found.append(shown(moment))
    assert (expression.describe(), ", ".join(found)) == (words, matches)


@pytest.mark.parametrize("row", MISTAKES, ids=lambda row: row.cells[0])
def test_a_mistake_is_named_as_the_page_says(row):
    text, column, reason = row.cells
    with pytest.raises(CronError) as caught:
        CronExpression.parse(code(text))
    assert str(caught.value) == f"bad cron expression {code(text)!r}, column {column}: {reason}"


@pytest.mark.parametrize("row", CHANGES, ids=lambda row: f"{row.heading} {' '.join(row.cells[:3])}")
def test_a_clock_change_does_to_each_rule_what_the_page_says(row):
    text, start, rules, ticks = row.cells
    zone, expression = ZoneInfo(row.heading), CronExpression.parse(code(text))
    for rule in rules.split(", "):
        moment, found = datetime.fromisoformat(start).replace(tzinfo=zone), []
        for _ in ticks.split(", "):
            tick = next_tick(expression, moment, zone, DstRule(rule))
            assert tick is not None
            moment = tick
            found.append(shown(tick.astimezone(zone)))
        assert (rule, ", ".join(found)) == (rule, ticks)


def test_the_page_lists_the_macros():
    assert {code(row.cells[0]): code(row.cells[1]) for row in table("macro", "is")} == MACROS


def test_the_page_lists_the_rules():
    listed = [code(row.cells[0]) for row in rows() if row.columns[0] == "rule"]
    assert sorted(listed) == sorted(DstRule)


# Commands


def sessions() -> list[tuple[str, str]]:
    """Return each shown command line with `orch cron` and the output below it."""
    found = []
    for page in sorted(DOCS.rglob("*.md")):
        for block in re.findall(
            r"^```console\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
        ):
            found += re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    return [(command, output) for command, output in found if "orch cron" in command]


def test_the_pages_show_the_command():
    assert len(sessions()) >= 5


@pytest.mark.parametrize(("command", "output"), sessions())
def test_a_shown_command_answers_as_shown(command, output):
    before, _, words = command.rpartition("orch ")
    stdin = shlex.split(before.partition("|")[0])[1] if before else None
    done = CliRunner().invoke(cli, shlex.split(words), input=stdin)
    assert (done.exit_code, done.stdout) == (0, output)
