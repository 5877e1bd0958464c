"""Runs go on with the code that they began with, whatever happens to the files meanwhile."""

import os
import shutil
import signal
import stat
import time

import pytest

pytestmark = pytest.mark.e2e

SLOW = """
import os
from datetime import timedelta
from pathlib import Path
from orch import DAG, task
import top

FOLDER = Path({folder!r})

with DAG("edited", schedule=None, default_args={{"retries": {retries}, "retry_delay": timedelta(0)}}):

    @task
    def first():
        os.mkfifo(FOLDER / "gate")
        open(FOLDER / "gate").read()
        return "old"

    @task
    def second(before):
        import lazy
        query = Path(__file__).with_name("query.sql").read_text()
        return [before, top.NAME, lazy.NAME, query, "old"]

    second(first())
"""

TRY = """
import os
from datetime import timedelta
from pathlib import Path
from orch import DAG, task

with DAG("tries", schedule=None, default_args={{"retries": 1, "retry_delay": timedelta(seconds={delay})}}):

    @task
    def work(try_number=None, ti=None):
        if ti.try_number == 1:
            raise ValueError("{word}")
        import lazy
        return ["{word}", lazy.NAME]

    work()
"""

ONE = """
from orch import DAG, task

with DAG("one", schedule=None):

    @task
    def {name}():
        return {value}

    {name}()
"""


def write(site, **files):
    site.dags.mkdir(exist_ok=True)
    for name, text in files.items():
        (site.dags / name.replace("__", ".")).write_text(text)


def slow(site, retries=0):
    text = SLOW.format(folder=str(site.folder), retries=retries)
    write(
        site, edited__py=text, top__py="NAME = 'top 1'\n", lazy__py="NAME = 'lazy 1'\n", query__sql="SELECT 1"
    )


def open_gate(site):
    """Wait until the first task waits at the gate, and return what lets it go when it is closed."""
    until = time.monotonic() + 30
    while not (site.folder / "gate").exists():
        assert time.monotonic() < until, "the task never started"
        os.sched_yield()
    return (site.folder / "gate").open("w")


def result(site, dag_id, task_id, run_id):
    import sqlite3

    with sqlite3.connect(site.home / "orch.db") as database:
        rows = database.execute(
            "SELECT x.value FROM xcom x JOIN dag_run r ON r.id = x.run_pk WHERE r.dag_id = ? AND r.run_id = ?"
            " AND x.task_id = ? AND x.key = 'return_value'",
            (dag_id, run_id, task_id),
        ).fetchall()
    database.close()
    return rows[0][0]


def edit(site):
    write(site, edited__py="from orch import DAG\nDAG('edited', schedule=None)\n", top__py="NAME = 'top 2'\n")
    write(site, lazy__py="NAME = 'lazy 2'\n", query__sql="SELECT 2")


def break_it(site):
    write(site, edited__py="1 / 0 # orch\n", top__py="1 / 0\n", lazy__py="1 / 0\n", query__sql="")


def delete_helpers(site):
    for name in ("top.py", "lazy.py", "query.sql"):
        (site.dags / name).unlink()


def rename(site):
    (site.dags / "edited.py").rename(site.dags / "other.py")
    (site.dags / "lazy.py").rename(site.dags / "lazier.py")


def delete_all(site):
    shutil.rmtree(site.dags)


@pytest.mark.parametrize("change", [edit, break_it, delete_helpers, rename, delete_all])
def test_nothing_that_happens_to_the_files_touches_a_run_under_way(site, change):
    slow(site)
    up = site.up()
    up.wait_for("ready")
    assert site.orch("trigger", "edited", "--run-id", "r").returncode == 0
    with open_gate(site):
        change(site)
        if change is not delete_all:
            site.orch("list-dags")
    up.wait_for("^run edited r success")
    assert result(site, "edited", "second", "r") == '["old","top 1","lazy 1","SELECT 1","old"]'
    assert up.stop() == 0


def test_nor_do_changes_between_its_tries_while_a_new_run_gets_the_new_code(site):
    write(site, tries__py=TRY.format(word="first", delay=2), lazy__py="NAME = 'lazy 1'\n")
    up = site.up()
    up.wait_for("ready")
    assert site.orch("trigger", "tries", "--run-id", "old").returncode == 0
    up.wait_for("^run tries old running")
    write(site, tries__py=TRY.format(word="second", delay=0), lazy__py="NAME = 'lazy 2'\n")
    assert site.orch("trigger", "tries", "--run-id", "new").returncode == 0
    up.wait_for("^run tries new success")
    up.wait_for("^run tries old success")
    assert result(site, "tries", "work", "old") == '["first","lazy 1"]'
    assert result(site, "tries", "work", "new") == '["second","lazy 2"]'
    assert up.stop() == 0


@pytest.mark.parametrize("command", ["run", "trigger"])
def test_while_the_file_is_broken_the_last_good_version_runs_and_a_notice_says_so(site, command):
    site.dag("one", ONE.format(name="work", value="'good'"))
    assert site.orch("run", "one").returncode == 0
    site.dag("one", ONE.format(name="work", value="'bad'").replace("schedule=", "schedul="))
    done = site.orch(command, "one", "--run-id", "r")
    assert done.returncode == 0, done.stderr
    assert "one.py" in done.stderr
    assert "did you mean 'schedule'?" in done.stderr
    assert "the run uses the last good version (1, of " in done.stderr
    if command == "run":
        assert "work: good" in done.stdout


def test_a_broken_file_without_any_good_version_is_refused(site):
    site.dag("one", ONE.format(name="work", value="1 +"))
    refused = site.orch("trigger", "one")
    assert refused.returncode == 2
    assert "one.py" in refused.stderr


def test_a_dag_whose_file_is_gone_keeps_its_history_and_goes_on_when_it_comes_back(site):
    site.dag("one", ONE.format(name="work", value="1"))
    assert site.orch("run", "one").returncode == 0
    (site.dags / "one.py").unlink()
    refused = site.orch("trigger", "one")
    assert refused.returncode == 2
    assert "put it back to run it" in refused.stderr
    assert [version["runs"] for version in site.json("dags", "versions", "one")] == [1]
    assert site.json("list-runs", "one")[0]["state"] == "success"
    assert site.orch("task-log", "one", "work").returncode == 0
    site.dag("one", ONE.format(name="work", value="1"))
    assert site.orch("run", "one").returncode == 0
    assert [version["runs"] for version in site.json("dags", "versions", "one")] == [2]


def test_errors_name_the_authors_file_and_the_line_that_was_run(site):
    slow(site)
    text = (site.dags / "edited.py").read_text()
    failing = 'raise ValueError(str(Path(__file__).with_name("x")))'
    site.dag("edited", text.replace("import lazy", f"import lazy\n        {failing}"))
    up = site.up()
    up.wait_for("ready")
    site.orch("trigger", "edited", "--run-id", "r")
    with open_gate(site):
        break_it(site)
    up.wait_for("^run edited r failed")
    log = site.orch("task-log", "edited", "second", "--run", "r").stdout
    assert f'File "{site.dags / "edited.py"}", line' in log
    assert failing in log
    assert str(site.dags / "x") in log
    assert "bundles" not in log
    assert str(site.dags / "x") in site.orch("why", "edited", "second", "--run", "r").stdout
    assert up.stop() == 0


def test_a_worker_killed_while_it_lays_out_code_costs_nothing(site):
    site.dag("one", ONE.format(name="work", value="1").replace("None", "'@once'"))
    marker = site.folder / "hit"
    up = site.up(
        ORCH_TESTING="1", ORCH_FAILPOINT="layout.before_rename:kill", ORCH_FAILPOINT_ONCE=str(marker)
    )
    up.wait_for(r"worker \(pid \d+\) ended: signal 9")
    up.wait_for(r"run one scheduled__\S+ success")
    assert marker.exists()
    assert up.stop() == 0


@pytest.mark.parametrize("damage", ["file", "folder", "blob"])
def test_a_damaged_layout_is_made_again(site, damage):
    site.dag("one", ONE.format(name="work", value="'whole'"))
    assert site.orch("run", "one").returncode == 0
    (laid_out,) = (site.home / "bundles").glob("*/one.py")
    if damage == "folder":
        laid_out.parent.chmod(stat.S_IRWXU)
        shutil.rmtree(laid_out.parent)
    elif damage == "file":
        laid_out.parent.chmod(stat.S_IRWXU)
        laid_out.unlink()
        laid_out.write_text("1 / 0\n")
    else:
        laid_out.chmod(stat.S_IRWXU)
        laid_out.write_text("1 / 0\n")  # the blob is the same file
    assert "work: whole" in site.orch("run", "one").stdout


def test_a_layout_deleted_under_a_warm_host_is_made_again(site):
    site.dag("one", ONE.format(name="work", value="'whole'"))
    up = site.up()
    up.wait_for("ready")
    assert site.orch("run", "one").returncode == 0
    (laid_out,) = (site.home / "bundles").glob("*/one.py")
    laid_out.parent.chmod(stat.S_IRWXU)
    shutil.rmtree(laid_out.parent)
    assert "work: whole" in site.orch("run", "one").stdout
    assert laid_out.exists()
    assert up.stop(signal.SIGTERM) == 0


def test_a_new_state_of_a_file_that_no_import_used_reaches_new_runs(site):
    text = ONE.format(
        name="work", value="__import__('pathlib').Path(__file__).with_name('q.sql').read_text()"
    )
    write(site, one__py=text, q__sql="SELECT 1")
    assert "work: SELECT 1" in site.orch("run", "one").stdout
    write(site, q__sql="SELECT 2")
    assert "work: SELECT 2" in site.orch("run", "one").stdout
    up = site.up()
    up.wait_for("ready")
    write(site, q__sql="SELECT 3")
    assert "work: SELECT 3" in site.orch("run", "one").stdout
    assert up.stop() == 0


def test_data_beside_the_code_is_read_where_it_is(site):
    (site.dags / "data").mkdir(parents=True)
    text = ONE.format(
        name="work", value="(HERE / 'data/in.csv').read_text() + (HERE / 'big.sql').read_text()[:1]"
    )
    write(site, one__py="from pathlib import Path\nHERE = Path(__file__).parent\n" + text)
    (site.dags / "data" / "in.csv").write_text("1")
    (site.dags / "big.sql").write_text("x" * (2 << 20))
    (site.dags / os.fsdecode(b"\xff.csv")).write_text("any name")
    assert "work: 1x" in site.orch("run", "one").stdout
    (site.dags / "data" / "in.csv").write_text("2")
    assert "work: 2x" in site.orch("run", "one").stdout


def test_data_that_comes_after_the_first_run_is_seen_by_the_next_one(site):
    value = "[(HERE / name).exists() for name in ('note.csv', 'data/in.csv')]"
    write(
        site,
        one__py="from pathlib import Path\nHERE = Path(__file__).parent\n"
        + ONE.format(name="work", value=value),
    )
    up = site.up()
    up.wait_for("ready")
    assert "work: [false, false]" in site.orch("run", "one").stdout
    (site.dags / "data").mkdir()
    (site.dags / "data" / "in.csv").write_text("1")
    (site.dags / "note.csv").write_text("2")
    assert "work: [true, true]" in site.orch("run", "one").stdout
    (site.dags / "note.csv").unlink()
    assert "work: [false, true]" in site.orch("run", "one").stdout
    assert up.stop() == 0


PLUGS = """
import os
from pathlib import Path
from orch import DAG, task

with DAG("plugs", schedule=None):

    @task
    def first():
        os.mkfifo(Path({folder!r}) / "gate")
        open(Path({folder!r}) / "gate").read()

    @task
    def second(before):
        try:
            import plug.extra
        except ModuleNotFoundError as error:
            return error.name

    second(first())
"""


def test_code_that_comes_into_a_folder_of_data_is_not_imported_by_a_run_under_way(site):
    (site.dags / "plug").mkdir(parents=True)
    write(site, plugs__py=PLUGS.format(folder=str(site.folder)))
    up = site.up()
    up.wait_for("ready")
    assert site.orch("trigger", "plugs", "--run-id", "r").returncode == 0
    with open_gate(site):
        (site.dags / "plug" / "extra.py").write_text("")
    up.wait_for("^run plugs r success")
    assert result(site, "plugs", "second", "r") == '"plug.extra"'
    assert up.stop() == 0
