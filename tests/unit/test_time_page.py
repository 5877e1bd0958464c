"""Every example of docs/time.md is computed, and every `orch cron` that a page shows answers as shown."""

import re
import shlex
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from orch import DAG, timetables
from orch.authoring.timetables import AIRFLOW_NAMES
from orch.cli.commands.schedule import lines
from orch.cli.main import cli
from orch.domain.backfills import first_moment, last_moment
from orch.domain.cron import CronError, CronExpression, DstRule, next_tick
from orch.domain.cron_text import MACROS
from orch.domain.preview import AGAIN, ALSO_SHIFTED, SECOND_TIME, SHIFTED, SKIPPED_TIME, Stretch, preview
from orch.domain.timetables import timetable_of
from orch.operations.schedule import ScheduleAnswer

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


# Timetables

FORMS = table("`schedule=`", "a run", "logical date", "data interval", "begins")
SCHEDULES = table("schedule", "logical dates", "runs begin")
NAMES = {name: getattr(timetables, name) for name in timetables.__all__} | {
    "datetime": datetime,
    "timedelta": timedelta,
}


def test_the_page_has_examples_of_timetables() -> None:
    assert len(SCHEDULES) >= 8
    mentioned = " ".join(row.cells[0] for row in FORMS)
    assert [name for name in timetables.__all__ if f"{name}(" not in mentioned] == []


@pytest.mark.parametrize("row", SCHEDULES, ids=lambda row: row.cells[0])
def test_a_schedule_has_the_runs_that_the_page_says(row: Row) -> None:
    text, dates, moments = row.cells
    zone, start = ZoneInfo("Europe/Berlin"), datetime(2024, 3, 30)
    schedule = eval(code(text), dict(NAMES))
    timetable = timetable_of(DAG("x", schedule=schedule, timezone=zone, start_date=start).to_spec())
    ticks: list[datetime] = []
    tick = timetable.next_after(datetime(2024, 1, 1, tzinfo=zone))
    while tick is not None and len(ticks) < len(dates.split(", ")):
        ticks.append(tick)
        tick = timetable.next_after(tick)
    found = ", ".join(shown(timetable.logical_date(tick).astimezone(zone)) for tick in ticks)
    begun = ", ".join(shown(tick.astimezone(zone)) for tick in ticks)
    assert (found, "the same" if begun == found else begun) == (dates, moments)


def test_the_page_lists_the_names_of_airflow() -> None:
    listed = {code(row.cells[0]): row.cells[1].replace("`", "") for row in table("in Airflow", "here")}
    assert listed == AIRFLOW_NAMES


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


PREVIEWED = {
    "nightly": {"schedule": "30 2 * * *"},
    "strict": {"schedule": "30 2 * * *", "dst": "skip"},
    "halves": {"schedule": timetables.CronInterval("0 */12 * * *")},
}
PREVIEWS = re.findall(
    r"^\$ orch schedule preview (\S+) --from (\S+) --to (\S+)\n(.*?)^```$",
    PAGE.read_text("utf-8"),
    re.MULTILINE | re.DOTALL,
)


def test_the_page_shows_previews_and_every_remark() -> None:
    assert {dag_id for dag_id, *_ in PREVIEWS} == set(PREVIEWED)
    listed = [code(row.cells[0]) for row in rows() if row.columns[0] == "remark on a line"]
    lost = [f"no run: {why}" for why in (SKIPPED_TIME, SECOND_TIME)]
    assert listed == [SHIFTED, ALSO_SHIFTED, AGAIN, *lost]


@pytest.mark.parametrize(
    ("dag_id", "first", "last", "output"), PREVIEWS, ids=[found[0] for found in PREVIEWS]
)
def test_a_shown_preview_is_what_the_command_prints(dag_id: str, first: str, last: str, output: str) -> None:
    zone = ZoneInfo("Europe/Berlin")
    spec = DAG(dag_id, timezone=zone, **PREVIEWED[dag_id]).to_spec()  # type: ignore[arg-type]  # by name
    begin, end = first_moment(date.fromisoformat(first), zone), last_moment(date.fromisoformat(last), zone)
    runs = preview(timetable_of(spec), zone, Stretch(begin, end, 100))
    assert [*lines(ScheduleAnswer(dag_id, spec, runs, is_cut=False))] == output.splitlines()


def test_the_pages_show_the_command():
    assert len(sessions()) >= 5


@pytest.mark.parametrize(("command", "output"), sessions())
def test_a_shown_command_answers_as_shown(command, output):
    before, _, words = command.rpartition("orch ")
    stdin = shlex.split(before.partition("|")[0])[1] if before else None
    done = CliRunner().invoke(cli, shlex.split(words), input=stdin)
    assert (done.exit_code, done.stdout) == (0, output)
