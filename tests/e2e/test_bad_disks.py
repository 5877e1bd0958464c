"""Disks that cannot be written: a clear error, nothing half-written, and work goes on when there is room again.

The disks are real: small or read-only file systems, mounted in a namespace that ends with the test.
"""

import shutil
import subprocess

import pytest
from tests.e2e.site import ORCH, Site

pytestmark = pytest.mark.e2e

NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]

QUICK = """
from orch import DAG, task

with DAG("quick", schedule=None):

    @task
    def talk(n):
        print("x" * 1000)
        return n

    [talk.override(task_id=f"t{n}")(n) for n in range(3)]
"""


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    site.dag("quick", QUICK)
    site.home.mkdir()
    yield site
    site.close()


def in_namespace(site, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a mount namespace of its own, where $HOME_DIR is the home of the site."""
    if shutil.which("unshare") is None or subprocess.run([*NAMESPACE, "true"], check=False).returncode:
        pytest.skip("this system allows no user namespaces, so no small disk can be made")
    environment = site.environment(HOME_DIR=str(site.home), ORCH=ORCH)
    return subprocess.run(
        [*NAMESPACE, script], env=environment, cwd=site.folder, capture_output=True, text=True, timeout=110,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("command", ["up", "run quick", "trigger quick"])
def test_a_read_only_home_is_named_with_a_remedy(site, command):
    done = in_namespace(
        site,
        f'mount -t tmpfs -o ro none "$HOME_DIR"; set +e; $ORCH {command}; echo "exit $?"',
    )
    assert "exit 1" in done.stdout
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert str(site.home) in done.stderr
    assert "--home" in done.stderr


def test_a_full_disk_refuses_in_words_and_heals_by_itself(site):
    done = in_namespace(
        site,
        """
        mount -t tmpfs -o size=4m none "$HOME_DIR"
        $ORCH run quick >first.txt
        cat /dev/zero >"$HOME_DIR/filler" 2>/dev/null || true
        set +e
        $ORCH trigger quick --run-id full 2>refused.txt; echo "trigger $?"
        set -e
        rm "$HOME_DIR/filler"
        $ORCH run quick --run-id after >after.txt; echo "after $?"
        $ORCH db verify; echo "verify $?"
        $ORCH list-runs quick
        """,
    )
    assert "trigger 1" in done.stdout, done.stdout + done.stderr
    assert "disk" in (site.folder / "refused.txt").read_text()
    assert "full" in (site.folder / "refused.txt").read_text()
    assert "after 0" in done.stdout, done.stdout + done.stderr
    assert "verify 0" in done.stdout
    assert "full" not in done.stdout


def test_a_server_whose_disk_fills_up_under_it_finishes_when_there_is_room_again(site):
    done = in_namespace(
        site,
        """
        mount -t tmpfs -o size=4m none "$HOME_DIR"
        mkfifo lines
        $ORCH up >lines 2>&1 & up=$!
        exec 3<lines
        while read -r line <&3; do case "$line" in ready*) break;; esac; done
        $ORCH trigger quick --run-id one --wait >/dev/null
        cat /dev/zero >"$HOME_DIR/filler" 2>/dev/null || true
        $ORCH trigger quick --run-id two 2>/dev/null && exit 9
        kill -0 $up
        rm "$HOME_DIR/filler"
        $ORCH trigger quick --run-id three --wait; echo "three $?"
        cat <&3 >/dev/null &
        kill -TERM $up
        wait $up; echo "up $?"
        $ORCH db verify; echo "verify $?"
        """,
    )
    assert "three 0" in done.stdout, done.stdout + done.stderr
    assert "up 0" in done.stdout
    assert "verify 0" in done.stdout
