"""The page on limits and order says what the code does."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from orch.domain.ageing import DEFAULT_AGEING_SECONDS, head_start, level
from orch.domain.priorities import BUILT_IN, LARGEST
from orch.domain.reasons import REASONS
from orch.settings.sections import SchedulerSettings

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")


def rows(title: str) -> list[list[str]]:
    """Return the cells of the table whose first heading is `title`."""
    _, found, rest = PAGE.partition(f"\n| {title} |")
    assert found, f"no table begins with {title!r}"
    table = rest.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table]


def span(text: str) -> timedelta:
    sign = -1 if text.startswith("-") else 1
    hours, minutes, seconds = (int(part) for part in text.lstrip("-").split(":"))
    return sign * timedelta(hours=hours, minutes=minutes, seconds=seconds)


@pytest.mark.parametrize(("weight", "shown_level", "shown_start"), rows("weight"))
def test_each_weight_has_the_level_and_head_start_of_the_table(weight, shown_level, shown_start):
    priority = int(weight.strip("`"))
    assert level(priority, 0, DEFAULT_AGEING_SECONDS) == int(shown_level.strip("`"))
    seconds = round(head_start(priority, DEFAULT_AGEING_SECONDS) / 1_000_000)
    assert timedelta(seconds=seconds) == span(shown_start.strip("`"))


def test_the_ageing_of_the_page_is_the_default_of_the_setting():
    assert SchedulerSettings().ageing_seconds == DEFAULT_AGEING_SECONDS == 3600
    assert "`scheduler.ageing_seconds` (one hour)" in PAGE


def test_every_reason_of_the_page_exists():
    named = [name for row in rows("limit") for name in re.findall(r"`(\w+)`", row[3])]
    assert len(named) == 8
    assert set(named) <= REASONS.keys()


def test_the_rules_of_core_are_those_of_the_page():
    names = [row[0].strip("`") for row in rows("rule")]
    assert tuple(names[:-1]) == BUILT_IN
    assert f"{LARGEST:,}" in PAGE
