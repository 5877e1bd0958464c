"""Homes with odd names: everything that belongs to a home lies in it, whatever it is called."""

import os
import subprocess

import pytest
from tests.e2e.site import ORCH, Site, clean_environment

pytestmark = pytest.mark.e2e

ONE = """
from orch import DAG, task

with DAG("one", schedule=None):

    @task
    def only():
        return 7

    only()
"""


@pytest.mark.parametrize("name", ["a?b#c %41 d é", "?mode=ro", "#", "%2e%2e", "a&b=c;d'e\"f"])
def test_a_home_of_any_name_holds_its_database(tmp_path, name):
    site = Site(tmp_path / name)
    site.folder.mkdir()
    site.dag("one", ONE)
    assert site.orch("run", "one").returncode == 0
    assert "success" in site.orch("status", "one").stdout
    assert site.orch("db", "verify").stdout == "all invariants hold\n"
    assert (site.home / "orch.db").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert sorted(path.name for path in site.folder.iterdir()) == ["dags", "home"]


@pytest.mark.parametrize(
    "command", [["status", "one"], ["run", "one"], ["up"], ["db", "migrate"], ["config", "list"]]
)
def test_a_home_that_is_no_utf8_is_refused_in_words(tmp_path, command):
    home = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    done = subprocess.run(
        [ORCH, *command],
        env=clean_environment(ORCH_HOME=home),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert r"\udcff" in done.stderr
    assert "is not valid UTF-8" in done.stderr
    assert list(tmp_path.iterdir()) == []
