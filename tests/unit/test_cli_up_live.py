"""The live view of `orch up` on terminals of several sizes."""

from datetime import UTC, datetime

import pytest

from orch.cli.news import ComponentState
from orch.cli.output import Output
from orch.cli.up_live import LiveView, shortened
from orch.cli.up_snapshot import Snapshot
from orch.settings import load_settings
from orch.store.queries.reading import ImportErrorRow
from orch.store.queries.watching import RunProgress

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
RUN_ID = "manual__2024-01-01T12:00:00.123456+00:00"
HINT = "Ctrl-C ends everything"
STOPPING = "stopping; running tasks get at most 30 s to end (again: at once)"


def progress(number: int, state: str) -> RunProgress:
    counts = {"success": 3, "failed": 1, "running": 2, "none": 7}
    ended_at = None if state == "running" else NOON
    started_at = datetime.now(UTC) if state == "running" else NOON
    return RunProgress(number, f"dag_{number}", RUN_ID, state, NOON, started_at, ended_at, counts)


def crowded() -> Snapshot:
    errors = [ImportErrorRow(f"broken_{n}.py", 3, "ValueError: " + "long " * 30, NOON) for n in range(9)]
    open_runs = [progress(n, "running") for n in range(12)]
    return Snapshot(30, 40, open_runs, [progress(n, "success") for n in range(8)], errors, [], is_ready=True)


@pytest.fixture
def screen(tmp_path, monkeypatch, capsys):
    """Draw a crowded home in a terminal of the given size; return the lines."""

    def draw(columns: int, rows: int, *more: ComponentState) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", str(rows))
        monkeypatch.setenv("TERM", "dumb")
        view = LiveView(load_settings(tmp_path, {}), Output(is_terminal=True))
        for name in ("dag-processor", "scheduler", "worker"):
            view.component(ComponentState(name, "started", 1234567))
        for state in more:
            view.component(state)
        view.snapshot(crowded())
        view.close()
        return str(capsys.readouterr().out).splitlines()

    return draw


@pytest.mark.parametrize("size", [(80, 24), (120, 24), (80, 16), (100, 60)])
def test_it_fits_the_terminal_and_keeps_errors_and_the_last_line(screen, size):
    lines = screen(*size)
    assert len(lines) < size[1]
    assert max(map(len, lines)) <= size[0]
    assert lines[-1].startswith(HINT)
    assert "more import errors" in lines[-2]
    assert any(line.startswith("broken_0.py:3 cannot be imported") for line in lines)


def test_a_narrow_one_leaves_the_logs_out_and_shortens_run_ids(screen):
    text = "\n".join(screen(80, 24))
    assert ".log" not in text
    assert "manual__2024…23456+00:00" in text
    assert "1 failed" in text
    assert "and 34 more" in text


def test_a_wide_one_names_the_logs_within_the_home(screen, tmp_path):
    text = "\n".join(screen(160, 60))
    assert "logs/_components/worker.log" in text
    assert str(tmp_path) not in text
    assert RUN_ID in text


@pytest.mark.parametrize("columns", [80, 100, 120, 160])
def test_progress_is_never_cut_off(screen, columns):
    assert sum(" 4/13  " in line for line in screen(columns, 40)) == 12


def test_a_stop_replaces_the_hint(screen):
    lines = screen(80, 24, ComponentState("everything", "stopping"))
    assert lines[-1].startswith(STOPPING)
    assert not any(line.startswith("everything") for line in lines)


def test_a_shortened_text_keeps_its_ends():
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefghij", 6) == "abc…ij"
