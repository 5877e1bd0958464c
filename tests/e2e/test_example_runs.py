"""The example DAGs with the real command and real processes: what they end in is what their files say."""

import csv
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
DAGS = ROOT / "dags"
ORCH = Path(sys.executable).with_name("orch")


class Home:
    """A home of orch of its own, and the command line on it."""

    def __init__(self, folder: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ORCH_")}
        self.environment = {**kept, "ORCH_HOME": str(folder / "home"), "ORCH_DAGS": str(DAGS)}
        self.environment["WEATHER_OUT"] = str(folder / "out")
        self.folder = folder

    def orch(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(ORCH), *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, text=True, capture_output=True, timeout=90, check=False
        )  # fmt: skip

    def status(self, dag_id: str) -> tuple[str, dict[str, dict[str, Any]]]:
        run = json.loads(self.orch("status", dag_id, "--json").stdout)
        return run["state"], {task["task_id"]: task for task in run["tasks"]}

    def assert_sound(self) -> None:
        verified = self.orch("db", "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_weather_prints_its_summary_and_leaves_its_files(home: Home) -> None:
    done = home.orch("run", "weather")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1,461 days, 2012-01-01 to 2015-12-31; rejected rows: 0." in done.stdout
    made = {path.name for path in (home.folder / "out").iterdir()}
    assert made == {
        "SHA256SUMS", "chart.svg", "clean.csv", "rejects.csv", "report.md", "weather.sqlite"
    }  # fmt: skip
    home.assert_sound()


def test_weather_with_a_bad_row_succeeds_and_reports_it(home: Home) -> None:
    raw = home.folder / "raw.csv"
    raw.write_text(
        "date,precipitation,temp_max,temp_min,wind,weather\n2012/01/01,1,9,1,2,rain\n2012/01/02,x,9,1,2,sun\n"
    )
    home.environment["WEATHER_CSV"] = str(raw)
    done = home.orch("run", "weather")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rejected rows: 1." in done.stdout
    assert "line 3 rejected" in home.orch("task-log", "weather", "validate").stdout
    with (home.folder / "out" / "rejects.csv").open(newline="") as file:
        assert [row["line"] for row in csv.DictReader(file)] == ["3"]


def test_weather_without_its_input_fails_and_says_why(home: Home) -> None:
    (home.folder / "raw.csv").write_text("no,weather\n")
    home.environment["WEATHER_CSV"] = str(home.folder / "raw.csv")
    done = home.orch("run", "weather")
    assert done.returncode == 1
    assert "has the columns ['no', 'weather']" in done.stdout + done.stderr
    state, tasks = home.status("weather")
    assert (state, tasks["validate"]["try_number"], tasks["summary"]["state"]) == (
        "failed",
        1,
        "upstream_failed",
    )


def test_retry_example_takes_two_tries(home: Home) -> None:
    done = home.orch("run", "retry_example")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "flaky succeeded on try 2" in done.stdout
    assert home.status("retry_example")[1]["flaky"]["try_number"] == 2
    home.assert_sound()


@pytest.mark.parametrize("dag_id", ["failure_example", "trigger_rules"])
def test_example_ends_on_the_engine_as_its_table_says(home: Home, dag_id: str) -> None:
    assert home.orch("run", dag_id).returncode == 1
    state, tasks = home.status(dag_id)
    expected = runpy.run_path(str(DAGS / f"{dag_id}.py"))["EXPECTED"]
    assert {task_id: task["state"] for task_id, task in tasks.items()} == expected
    assert state == "failed"
    home.assert_sound()


def test_run_journal_hears_of_a_run_on_the_engine(home: Home) -> None:
    home.environment |= {"ORCH_PLUGINS": str(ROOT / "plugins"), "RUN_JOURNAL": str(home.folder / "journal")}
    assert home.orch("run", "retry_example").returncode == 0
    [line] = (home.folder / "journal").read_text().splitlines()
    assert json.loads(line)["state"] == "success"
