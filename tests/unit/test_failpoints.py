"""Failpoints: named, inert without the test flag, and hit once when told so."""

import os
import signal
import subprocess
import sys

import pytest

from orch.failpoints import FAILPOINTS, FailpointError, Failpoints

ARMED = {"ORCH_TESTING": "1", "ORCH_FAILPOINT": "report.before_commit:error"}


def test_an_armed_failpoint_raises_and_the_others_do_nothing():
    points = Failpoints.from_environment(ARMED)
    points.hit("report.begin")
    with pytest.raises(FailpointError, match=r"report\.before_commit"):
        points.hit("report.before_commit")


def test_without_the_test_flag_nothing_is_armed():
    Failpoints.from_environment({**ARMED, "ORCH_TESTING": ""}).hit("report.before_commit")


@pytest.mark.parametrize("text", ["nosuch.begin:kill", "report.begin:explode"])
def test_a_name_or_action_that_does_not_exist_is_refused(text):
    with pytest.raises(ValueError, match=text.replace(":", "|")):
        Failpoints.from_environment({"ORCH_TESTING": "1", "ORCH_FAILPOINT": text})


def test_with_a_marker_only_the_first_hit_counts(tmp_path):
    environ = {**ARMED, "ORCH_FAILPOINT_ONCE": str(tmp_path / "hit")}
    with pytest.raises(FailpointError):
        Failpoints.from_environment(environ).hit("report.before_commit")
    Failpoints.from_environment(environ).hit("report.before_commit")


def test_kill_kills():
    code = "from orch.failpoints import Failpoints; Failpoints.from_environment().hit('claim.begin')"
    environ = {**os.environ, "ORCH_TESTING": "1", "ORCH_FAILPOINT": "claim.begin:kill"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, stderr=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL


def test_every_transaction_has_three_moments():
    assert {name.rsplit(".", 1)[1] for name in FAILPOINTS if name.startswith("claim.")} == {
        "begin",
        "before_commit",
        "after_commit",
    }
