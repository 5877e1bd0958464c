"""Stored states of the dags folder: when the DAG processor takes one, what is in it, and which DAGs run it."""

import json
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.e2e.test_dagfiles_processor import Site, dag_text

from orch.dagfiles.processor import DagProcessor
from orch.domain.states import Actor
from orch.failpoints import FailpointError, Failpoints
from orch.store.queries import run_creation
from orch.store.queries.run_creation import NewRun
from orch.store.queries.transitions import By
from orch.store.verify import verify

pytestmark = pytest.mark.e2e


class BundleSite(Site):
    """A dags folder whose stored states are looked at."""

    def count(self, table: str) -> int:
        ((number,),) = self.rows(f"SELECT COUNT(*) FROM {table}")
        assert isinstance(number, int)
        return number

    def files(self, dag_id: str) -> dict[str, str]:
        """Path → text or alias, of the bundle that a DAG's new runs get."""
        found = self.rows(
            f"SELECT b.files FROM dag d JOIN bundle b ON b.id = d.bundle_id WHERE dag_id = '{dag_id}'"
        )
        contents = {hash_: content.decode() for hash_, content in self.rows("SELECT hash, content FROM blob")}  # type: ignore[attr-defined]  # bytes
        entries = json.loads(str(found[0][0])) if found else {}
        return {path: contents.get(entry, entry) for path, entry in entries.items()}

    def trigger(self, dag_id: str, run_id: str) -> None:
        with self.store.write("create_run") as tx:
            dag = run_creation.find_dag(tx, dag_id)
            assert dag is not None
            new = NewRun(dag_id, run_id, "manual", self.store.clock())
            run_creation.create_run(
                tx, dag, new, default_executor="LocalExecutor", by=By(Actor.OPERATOR, "test")
            )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[BundleSite]:
    made = BundleSite(tmp_path)
    yield made
    findings = verify(made.store)
    assert findings == [], "\n".join(finding.message for finding in findings)
    made.close()


def with_helper(dag_id: str, helper: str = "helper") -> str:
    return f"import {helper}\n{dag_text(dag_id)}"


def test_code_is_stored_and_data_is_not(site: BundleSite) -> None:
    site.write("team/a.py", dag_text("a"))
    site.write("lazy.py", "x = 1\n")
    site.write("query.sql", "SELECT 1")
    site.write("data.csv", "1")
    site.write("big.yaml", "#" * (2 << 20))
    site.write("read.txt", "read while imported")
    site.write(".hidden.py", "x = 1")
    site.write("venv/pyvenv.cfg", "")
    site.write("venv/lib.py", "")
    site.write("site-packages/lib.py", "")
    site.write("b.py", "open(__file__.replace('b.py', 'read.txt')).read()\n" + dag_text("b"))
    site.scan()
    assert sorted(site.files("a")) == ["b.py", "lazy.py", "query.sql", "read.txt", "team/a.py"]
    assert site.files("b") == site.files("a")


def test_ignored_code_is_stored_and_ignored_data_is_not(site: BundleSite) -> None:
    site.write(".orchignore", "lib/\nout/\nskipped.py\n")
    site.write("a.py", with_helper("a", "skipped"))
    site.write("skipped.py", "")
    site.write("lib/lazy.py", "x = 1\n")
    site.write("lib/more/deep.py", "x = 1\n")
    site.write("out/result.yaml", "x: 1\n")
    site.scan()
    assert sorted(site.files("a")) == ["a.py", "lib/lazy.py", "lib/more/deep.py", "skipped.py"]


def test_unchanged_files_make_nothing_new_not_even_after_a_restart(site: BundleSite) -> None:
    site.write("a.py", dag_text("a"))
    site.scan()
    before = [site.rows(f"SELECT * FROM {table}") for table in ("bundle", "blob", "dag", "dag_revision")]
    site.scan()
    site.processor.close()
    site.processor = site.new_processor()
    site.scan()
    assert before == [
        site.rows(f"SELECT * FROM {table}") for table in ("bundle", "blob", "dag", "dag_revision")
    ]


def test_edits_of_what_no_import_uses_reach_new_runs_and_do_not_pile_up(site: BundleSite) -> None:
    site.write("a.py", dag_text("a"))
    site.write("q.sql", "SELECT 0")
    site.scan()
    for number in range(1, 6):
        site.write("q.sql", f"SELECT {number}")
        site.scan()
        assert site.files("a")["q.sql"] == f"SELECT {number}"
    assert (site.count("dag_revision"), site.count("bundle"), site.count("blob")) == (1, 2, 3)


def test_a_state_that_a_run_has_stays(site: BundleSite) -> None:
    site.write("a.py", dag_text("a"))
    site.write("q.sql", "SELECT 0")
    site.scan()
    for number in range(1, 4):
        site.write("q.sql", f"SELECT {number}")
        site.scan()
        if number == 2:
            site.trigger("a", "r")
    ((files,),) = site.rows("SELECT files FROM bundle WHERE id = (SELECT bundle_id FROM dag_run)")
    ((content,),) = site.rows(f"SELECT content FROM blob WHERE hash = '{json.loads(str(files))['q.sql']}'")
    assert (content, site.count("bundle")) == (b"SELECT 2", 3)


def test_a_dag_that_is_not_imported_yet_keeps_the_older_state_of_a_shared_helper(
    site: BundleSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.write("helper.py", "x = 1\n")
    for dag_id in ("a", "b"):
        site.write(f"{dag_id}.py", with_helper(dag_id))
    site.scan()
    site.write("helper.py", "x = 2\n")
    site.processor.close()
    site.processor = site.new_processor()
    submit = site.processor._importer.submit
    monkeypatch.setattr(
        site.processor._importer, "submit", lambda paths: submit(path for path in paths if path != "b.py")
    )
    site.scan()
    assert (site.files("a")["helper.py"], site.files("b")["helper.py"]) == ("x = 2\n", "x = 1\n")


def test_a_broken_file_keeps_its_last_good_state(site: BundleSite) -> None:
    site.write("a.py", dag_text("a"))
    site.write("b.py", dag_text("b"))
    site.scan()
    site.write("a.py", "1 / 0  # orch\n")
    site.write("q.sql", "SELECT 1")
    site.scan()
    assert site.files("a") == {"a.py": dag_text("a"), "b.py": dag_text("b")}
    assert "q.sql" in site.files("b")


def test_a_file_that_changes_while_it_is_imported_is_imported_again(site: BundleSite) -> None:
    edit = "import os\nif not os.path.exists('{0}/once'): os.system('touch {0}/once; echo y = 2 >> {0}/helper.py')\n"
    site.write("helper.py", "x = 1\n")
    site.write("a.py", "import helper\n" + edit.format(site.dags) + dag_text("a"))
    site.scan()
    assert site.files("a")["helper.py"] == "x = 1\ny = 2\n"
    assert site.count("dag_revision") == 1


def test_a_helper_that_changes_with_each_import_is_stored_as_one_import_has_used_it(site: BundleSite) -> None:
    site.write("helper.py", "x = 1\n")
    edit = f"import helper, os\nos.system('echo y = 2 >> {site.dags}/helper.py')\n"
    site.write("a.py", edit + dag_text("a"))
    site.scan()
    assert site.files("a")["helper.py"].startswith("x = 1\n")


def test_a_second_way_to_a_folder_is_kept_as_one(site: BundleSite) -> None:
    site.write("pkg/code.py", "x = 1\n")
    (site.dags / "zlink").symlink_to("pkg")
    (site.dags / "file.py").symlink_to("pkg/code.py")
    (site.dags / "nowhere.sql").symlink_to("gone")
    site.write("a.py", "import zlink.code\n" + dag_text("a"))
    site.scan()
    files = site.files("a")
    assert (files["zlink"], files["file.py"], files["pkg/code.py"]) == ("alias:pkg", "x = 1\n", "x = 1\n")
    assert "nowhere.sql" not in files


def test_a_moved_file_and_one_that_comes_back_find_their_code(site: BundleSite) -> None:
    site.write("a.py", dag_text("a"))
    site.scan()
    (site.dags / "a.py").rename(site.dags / "b.py")
    site.scan()
    assert list(site.files("a")) == ["b.py"]
    (site.dags / "b.py").rename(site.dags / "a.py")
    site.scan()
    assert list(site.files("a")) == ["a.py"]
    assert site.count("dag_revision") == 2


@pytest.mark.parametrize("moment", ["begin", "before_commit", "after_commit"])
def test_a_state_that_was_not_stored_to_the_end_is_stored_by_the_next_processor(
    site: BundleSite, moment: str
) -> None:
    site.write("a.py", dag_text("a"))
    with site.processor_of_its_own(Failpoints({f"register_dags.{moment}": "error"})) as processor:
        for _ in range(2):
            with pytest.raises(FailpointError):
                processor.run_once()
    site.scan()
    assert list(site.files("a")) == ["a.py"]


def test_two_processors_at_once_agree(site: BundleSite) -> None:
    site.write("a.py", dag_text("a"))
    with closing(DagProcessor(site.settings, site.store, site.processor._plugins)) as other:
        other.run_once()
        site.scan()
        site.write("q.sql", "SELECT 1")
        other.run_once()
        site.scan()
    assert (site.count("bundle"), sorted(site.files("a"))) == (2, ["a.py", "q.sql"])


DYNAMIC = """
import os, random
from orch import DAG, task

ARGUMENTS = [("retries", 1), ("pool", "default")]
with DAG("dynamic", schedule=None, tags={"b", "a", "c", "d"}, default_args=dict(random.sample(ARGUMENTS, 2))):
    names = os.listdir(os.path.join(os.path.dirname(__file__), "configs"))
    random.shuffle(names)
    made = {name: task(print, task_id=name.split(".")[0])() for name in names}
    for name in set(made) - {"t0.yaml"}:
        made["t0.yaml"] >> made[name]
"""


def test_a_dynamic_file_has_one_version_however_its_tasks_are_ordered(site: BundleSite) -> None:
    for number in range(8):
        site.write(f"configs/t{number}.yaml", f"n: {number}")
    for round_ in range(4):
        site.write("dynamic.py", DYNAMIC + f"# {round_} {random.random()}\n")
        assert site.scan().problems == {}
    assert (site.count("dag_version"), site.count("dag_revision")) == (1, 4)


def test_a_text_that_differs_with_each_import_makes_a_version_of_each(site: BundleSite) -> None:
    for round_ in range(2):
        text = dag_text("a").replace("DAG('a')", "DAG('a', description=repr(__import__('time').time_ns()))")
        site.write("a.py", f"{text}# {round_}\n")
        site.scan()
    assert site.count("dag_version") == 2
