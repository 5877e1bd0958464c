"""The edges of the command line as a process: closed streams, arguments that are no text, late signals."""

import contextlib
import os
import signal
import subprocess
import time

import pytest
from tests.e2e.site import ORCH

pytestmark = pytest.mark.e2e

ONE = """
from orch import DAG, task

with DAG("one", schedule=None):

    @task
    def only():
        print("hello")
        return 7

    only()
"""


def shell(site, line, **values):
    """Run one line of a shell in which `orch` is the command."""
    return subprocess.run(
        ["bash", "-c", line.replace("orch", ORCH, 1)],
        env=site.environment(**values),
        cwd=site.folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_run_with_closed_streams_ends_as_with_open_ones(site, closed):
    site.dag("one", ONE)
    done = shell(site, f"orch run one --run-id r1 {closed}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "hello" in site.orch("task-log", "one", "only").stdout
    assert not list(site.home.rglob("cli-crash-*"))


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_bad_input_with_closed_streams_keeps_its_exit_code(site, closed):
    assert shell(site, f"orch run nope {closed}").returncode == 2


@pytest.mark.parametrize("line", [r"run $'\xff'", r"trigger $'a\xff'", r"list-runs $'\xff'", r"$'\xff'"])
def test_an_argument_that_is_no_utf8_is_bad_input(site, line):
    done = shell(site, f"orch {line}")
    assert done.returncode == 2
    assert r"\udcff" in done.stderr
    assert "is not valid UTF-8" in done.stderr
    assert not list(site.folder.rglob("cli-crash-*"))


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_date_at_the_end_of_the_calendar_breaks_nothing(site, date):
    site.dag("one", ONE)
    assert site.orch("run", "one", "--logical-date", date).returncode == 2
    assert site.orch("run", "one").returncode == 0


def test_stops_in_the_last_moments_do_not_change_the_exit_code(site):
    site.dag("one", ONE)
    up = site.up()
    up.wait_for("^ready")
    up.process.send_signal(signal.SIGTERM)
    up.wait_for("^stopped")
    until = time.monotonic() + 20
    while up.process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(ProcessLookupError):
            os.kill(up.process.pid, signal.SIGTERM)
    assert up.process.wait(10) == 0
