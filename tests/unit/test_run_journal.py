"""The drop-in example `plugins/run_journal.py`, loaded the way a deployment loads it."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orch.domain.states import RunState
from orch.hookspecs import DagRunChange
from orch.plugins import Plugins, load_plugins
from orch.settings import load_settings

FOLDER = Path(__file__).resolve().parents[2] / "plugins"
AT = datetime(2024, 1, 1, 6, 0, 1, tzinfo=UTC)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the plugin writes; import path and modules are as before after the test."""
    path = tmp_path / "journal.jsonl"
    monkeypatch.setenv("RUN_JOURNAL", str(path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "run_journal", raising=False)
    return path


def loaded(home: Path) -> Plugins:
    return load_plugins(load_settings(home, {"ORCH_PLUGINS": str(FOLDER)}))


def change(run_id: str, new: RunState) -> DagRunChange:
    return DagRunChange("weather", run_id, RunState.RUNNING, new, AT)


def test_one_line_for_each_finished_run(tmp_path: Path, journal: Path) -> None:
    plugins = loaded(tmp_path)
    plugins.notify_runs([change("one", RunState.SUCCESS), change("two", RunState.RUNNING)])
    plugins.notify_runs([change("three", RunState.FAILED)])
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [(line["run_id"], line["state"]) for line in lines] == [("one", "success"), ("three", "failed")]
    assert lines[0]["at"] == "2024-01-01T06:00:01+00:00"


def test_no_file_without_a_finished_run(tmp_path: Path, journal: Path) -> None:
    loaded(tmp_path).notify_runs([change("one", RunState.RUNNING)])
    assert not journal.exists()
