"""The example DAGs, without an engine: weather's functions on good and bad rows, the others on pure decisions."""

import csv
import importlib.util
import json
import sqlite3
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from orch.authoring.collect import collecting
from orch.domain.dagspec import DagSpec
from orch.domain.decide import decide
from orch.domain.run_view import RunView, TaskFacts
from orch.domain.states import RunState, TaskState

DAGS = Path(__file__).resolve().parents[2] / "dags"
NOW = datetime(2024, 1, 1, tzinfo=UTC)
HEADER = "date,precipitation,temp_max,temp_min,wind,weather\n"
Import = Callable[[str], tuple[ModuleType, DagSpec]]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Import:
    """Return a function that imports an example; weather then writes to `tmp_path`."""
    monkeypatch.setenv("WEATHER_OUT", str(tmp_path / "out"))
    monkeypatch.syspath_prepend(str(DAGS))

    def load_example(name: str) -> tuple[ModuleType, DagSpec]:
        spec = importlib.util.spec_from_file_location(f"example_{name}", DAGS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        with collecting() as dags:
            spec.loader.exec_module(module)
        [dag] = dags
        return module, dag.to_spec()

    return load_example


@pytest.fixture
def weather(load: Import, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], ModuleType]:
    """Return a function that imports weather with these rows as its input."""

    def with_rows(text: str) -> ModuleType:
        (tmp_path / "raw.csv").write_text(text)
        monkeypatch.setenv("WEATHER_CSV", str(tmp_path / "raw.csv"))
        return load("weather")[0]

    return with_rows


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2012/02/30,0,9,1,2,rain", "day is out of range"),
        ("2012/02/01,wet,9,1,2,rain", "could not convert"),
        ("2012/02/01,nan,9,1,2,rain", "from 0 up"),
        ("2012/02/01,-1,9,1,2,rain", "from 0 up"),
        ("2012/02/01,0,1,9,2,rain", "temp_min 9.0 is above temp_max 1.0"),
        ("2012/02/01,0,9,1,2,frogs", "unknown weather 'frogs'"),
        ("2012/02/01,0,9", "could not convert"),
        ("2012/02/01,0,9,1,2,rain,extra", "more than 6 columns"),
        ("2012/01/01,0,9,1,2,rain", "2012-01-01 came before"),
    ],
)
def test_weather_reports_a_bad_row_and_goes_on(
    weather: Callable[[str], ModuleType], row: str, reason: str
) -> None:
    module = weather(f"{HEADER}2012/01/01,1.5,9,1,2,rain\n{row}\n2012/01/02,0,9,1,2,sun\n")
    checked = module.validate.function()
    assert (checked["days"], checked["rejected"]) == (2, 1)
    with (module.OUT / "rejects.csv").open(newline="") as file:
        _, [line, why, *kept] = csv.reader(file)
    assert line == "3"
    assert reason in why
    assert kept[0] == row.split(",")[0]


@pytest.mark.parametrize("text", ["", "day,rain\n1,2\n", HEADER, f"{HEADER}2012/13/01,0,9,1,2,rain\n"])
def test_weather_fails_for_good_without_any_valid_row(
    weather: Callable[[str], ModuleType], text: str
) -> None:
    module = weather(text)
    with pytest.raises(module.Fail, match=r"raw\.csv has"):
        module.validate.function()


def test_weather_makes_the_same_files_each_time(load: Import) -> None:
    module, _ = load("weather")

    def make_all() -> dict[str, bytes]:
        checked = module.validate.function()
        yearly, monthly = (module.figures.function(checked, digits) for digits in (4, 7))
        assert len(json.dumps(monthly)) < 10_000  # small enough for an XCom
        module.load(years=yearly, months=monthly)
        module.chart.function(monthly)
        module.report.function(checked, yearly, monthly)
        return {path.name: path.read_bytes() for path in module.OUT.iterdir()}

    first = make_all()
    assert set(first) == {"rejects.csv", "clean.csv", "weather.sqlite", "chart.svg", "report.md"}
    assert make_all() == first
    ET.fromstring(first["chart.svg"])
    database = sqlite3.connect(module.OUT / "weather.sqlite")
    assert database.execute("SELECT count(*), round(sum(precipitation)) FROM days").fetchone() == (1461, 4426)
    assert database.execute("SELECT count(*) FROM months").fetchone() == (48,)
    database.close()


def test_weather_leaves_the_old_file_when_writing_fails(load: Import) -> None:
    module, _ = load("weather")
    module.write("report.md", "good")
    with pytest.raises(UnicodeEncodeError):
        module.write("report.md", "half \ud800 of it")
    assert {file.name: file.read_text() for file in module.OUT.iterdir()} == {"report.md": "good"}


@pytest.mark.parametrize("name", ["trigger_rules", "failure_example"])
def test_example_ends_as_its_table_says(load: Import, name: str) -> None:
    module, spec = load(name)
    states, run_state = decided(spec, module.EXPECTED)
    assert states == module.EXPECTED
    assert run_state is RunState.FAILED


def test_fan_out_is_a_thousand_wide(load: Import) -> None:
    _, spec = load("fan_out")
    assert [len(level) for level in spec.graph.levels()] == [1, 1_000, 1]


def decided(spec: DagSpec, outcomes: dict[str, str]) -> tuple[dict[str, str], RunState | None]:
    """Run the DAG on pure decisions: a `@task` that is let run ends as `outcomes` says, any other one well."""
    view = RunView(
        1, 1, spec, [TaskFacts(i, t.task_id, -1, TaskState.NONE) for i, t in enumerate(spec.tasks)]
    )
    while (decision := decide(view, NOW)).run_state is None:
        for move in decision.moves:
            task = view.tasks[move.position]
            if move.new is TaskState.SCHEDULED:
                end = outcomes[task.facts.task_id] if task.spec.operator == "@task" else TaskState.SUCCESS
                view.observe(TaskFacts(task.facts.ti_id, task.facts.task_id, -1, TaskState(end)))
    return {task.facts.task_id: task.facts.state.value for task in view.tasks}, decision.run_state
