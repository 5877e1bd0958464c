"""The drop-in example `plugins/workdays.py` keeps the contract of timetables and knows its days."""

import importlib.util
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import pytest

from orch.domain.dagspec import DagSpec, TimetableSpec
from orch.hookspecs import TimetableContext, TimetableKind
from orch.plugins import load_plugins
from orch.settings import load_settings
from orch.testing import check_plugin, plugins_from
from orch.testing.timetables import TimetableContract

FOLDER = Path(__file__).resolve().parents[2] / "plugins"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("workdays_under_test", FOLDER / "workdays.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


workdays = load()


def spec_of(**arguments: object) -> DagSpec:
    return DagSpec("report", timezone="Europe/Berlin", timetable=TimetableSpec("workdays", arguments))


class TestWorkdays(TimetableContract):
    @pytest.fixture
    def kind(self) -> TimetableKind:
        return plugins_from(workdays).timetables["workdays"]

    @pytest.fixture
    def arguments(self) -> dict[str, object]:
        return {"hour": 2, "minute": 30, "holidays": ["2024-12-25", "2024-12-26"]}

    @pytest.fixture
    def bad_arguments(self) -> list[dict[str, object]]:
        return [{"hour": 24}, {"holidays": ["Christmas"]}, {"holidays": 3}, {"our": 6}]

    @pytest.fixture
    def context(self) -> TimetableContext:
        return TimetableContext(ZoneInfo("Europe/Berlin"))


def test_the_plugin_keeps_the_hook_specs() -> None:
    check_plugin(workdays)


def test_a_deployment_loads_it_by_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN_JOURNAL", str(tmp_path / "journal.jsonl"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    plugins = load_plugins(load_settings(tmp_path, {"ORCH_PLUGINS": str(FOLDER)}))
    for name in ("workdays", "run_journal"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    tick = plugins.timetable_of(spec_of(hour=6)).next_after(datetime(2024, 6, 7, 12, tzinfo=UTC))
    assert tick == datetime(2024, 6, 10, 4, tzinfo=UTC)  # from Friday to Monday, 06:00 in Berlin


def test_holidays_and_week_ends_are_one_long_interval() -> None:
    timetable = plugins_from(workdays).timetable_of(spec_of(hour=6, holidays=["2024-12-25", "2024-12-26"]))
    tick = timetable.next_after(datetime(2024, 12, 24, 12, tzinfo=UTC))
    assert tick == datetime(2024, 12, 27, 5, tzinfo=UTC)
    assert timetable.interval_of(tick) == (datetime(2024, 12, 24, 5, tzinfo=UTC), tick)


def test_its_words_name_time_and_holidays() -> None:
    plugins = plugins_from(workdays)
    assert plugins.words_of(TimetableSpec("workdays", {"hour": 6})) == "workdays at 06:00"
    assert plugins.words_of(TimetableSpec("workdays", {"holidays": ["2024-12-25", "2024-12-26"]})) == (
        "workdays at 00:00 without 2 holidays"
    )
