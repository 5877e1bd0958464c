"""The tracker: what is new, changed, settled or gone since the last walk."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orch.dagfiles.discover import Found, discover
from orch.dagfiles.results import ImportedDag, ImportProblem, ImportResult
from orch.dagfiles.sources import digest_file
from orch.dagfiles.tracker import FIRST_RETRY_SECONDS, Changes, Tracker
from orch.domain.sources import content_hash
from orch.store.queries.dag_files import KnownFile

OLD_NS = 10_000_000_000


class Site:
    """A dags folder with a tracker whose clocks stand where the test puts them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.time = 1000.0
        self.now_ns = time.time_ns() + OLD_NS  # so that what the test writes now counts as old
        self.tracker = self.new_tracker()

    def new_tracker(self) -> Tracker:
        return Tracker(self.folder, clock=lambda: self.time, now_ns=lambda: self.now_ns)

    def write(self, path: str, text: str = "import orch\n") -> None:
        (self.folder / path).write_text(text)

    def look(self) -> Changes:
        return self.tracker.compare(discover(self.folder))

    def register(
        self, path: str, *sources: str, dags: tuple[str, ...] = (), problem: str = "", **more: bool
    ) -> None:
        self.tracker.registered(self.result(path, *sources, dags=dags, problem=problem, **more))

    def result(
        self,
        path: str,
        *sources: str,
        dags: tuple[str, ...] = (),
        problem: str = "",
        misses_module: bool = False,
    ) -> ImportResult:
        digests = {source: digest_file(self.folder / source) for source in (path, *sources)}
        problems = (ImportProblem(problem),) if problem else ()
        found = tuple(ImportedDag(dag_id, "{}", "hash") for dag_id in dags)
        return self.tracker.stamp(ImportResult(path, found, problems, digests, misses_module=misses_module))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def test_new_file_is_imported_and_then_left_alone(site: Site) -> None:
    site.write("a.py")
    assert site.look().to_import == ["a.py"]
    site.register("a.py")
    assert site.look() == Changes()


def test_file_that_mentions_no_dag_is_left_out_until_it_does(site: Site) -> None:
    site.write("a.py", "x = 1\n")
    assert (site.look().to_import, site.look().left_out) == ([], ["a.py"])
    site.write("a.py", "import orch\n")
    assert site.look().to_import == ["a.py"]


@pytest.mark.parametrize("text", ["from airflow import x", "DAGS = make()", "IMPORT ORCH"])
def test_file_that_may_declare_a_dag_is_imported(site: Site, text: str) -> None:
    site.write("a.py", text)
    assert site.look().to_import == ["a.py"]


def test_unchanged_files_are_not_read(site: Site) -> None:
    site.write("a.py")
    site.write("other.py", "x = 1\n")
    site.look()
    site.register("a.py")
    found = discover(site.folder)
    for path in found.files:
        (site.folder / path).unlink()  # to read one would show that it is gone
    assert site.tracker.compare(found) == Changes(left_out=["other.py"])


def test_changed_content_is_imported_again(site: Site) -> None:
    site.write("a.py")
    site.register("a.py")
    site.write("a.py", "import orch # changed\n")
    assert site.look().to_import == ["a.py"]


def test_same_content_with_another_time_updates_the_key_only(site: Site) -> None:
    site.write("a.py")
    site.register("a.py")
    touch(site.folder / "a.py")
    changes = site.look()
    assert (changes.to_import, list(changes.settled)) == ([], ["a.py"])
    assert site.look() == Changes()


def test_changed_helper_module_or_data_file_imports_its_dag_file(site: Site) -> None:
    site.write("a.py")
    site.write("helper.py", "x = 1\n")
    site.write("data.yaml", "a: 1\n")
    site.register("a.py", "helper.py", "data.yaml")
    assert site.look().to_import == []
    site.write("data.yaml", "a: 2\n")
    assert site.look().to_import == ["a.py"]


def test_new_name_in_a_folder_that_was_listed_imports_its_dag_file(site: Site) -> None:
    (site.folder / "configs").mkdir()
    site.write("a.py")
    site.register("a.py", "configs")
    site.write("configs/new.yaml")
    assert site.look().to_import == ["a.py"]


def test_file_that_is_too_young_to_trust_its_key_is_compared_by_content(site: Site) -> None:
    site.now_ns -= OLD_NS
    site.write("a.py", "import orch # 1\n")
    site.register("a.py")
    stat = (site.folder / "a.py").stat()
    assert site.tracker.files["a.py"].key == ""
    site.write("a.py", "import orch # 2\n")  # same size, and maybe the same time stamp
    os.utime(site.folder / "a.py", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert site.look().to_import == ["a.py"]


def test_gone_file_is_noted_only_after_a_complete_walk(site: Site) -> None:
    site.write("a.py")
    site.register("a.py")
    assert site.tracker.compare(Found(problems=["folder 'x' cannot be read"])).gone == []
    assert site.tracker.compare(Found()).gone == ["a.py"]


def test_unreadable_file_is_refused_once_and_does_not_count_as_gone(site: Site) -> None:
    (site.folder / "a.py").symlink_to("nowhere")
    (refused,) = site.look().unusable
    assert refused.problems[0].message.startswith("the file cannot be read: the symbolic link")
    site.tracker.registered(refused)
    changes = site.look()
    assert (changes.unusable, changes.gone) == ([], [])


def test_huge_file_is_refused_without_being_read(site: Site) -> None:
    with (site.folder / "a.py").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    (refused,) = site.look().unusable
    assert refused.problems[0].message == "the file has 100 MB; 32 MB are allowed"


def test_broken_file_is_tried_again_when_it_is_touched(site: Site) -> None:
    site.write("a.py")
    site.register("a.py", problem="boom")
    assert site.look().to_import == []
    touch(site.folder / "a.py")
    assert site.look().to_import == ["a.py"]


def test_broken_file_is_tried_again_at_growing_intervals(site: Site) -> None:
    site.write("a.py")
    site.register("a.py", problem="boom")
    site.time += FIRST_RETRY_SECONDS
    assert site.look().to_import == ["a.py"]
    site.register("a.py", problem="boom")
    site.time += FIRST_RETRY_SECONDS
    assert site.look().to_import == []
    site.time += FIRST_RETRY_SECONDS
    assert site.look().to_import == ["a.py"]


def test_broken_file_keeps_the_dags_of_its_last_good_version(site: Site) -> None:
    site.write("a.py")
    site.register("a.py", dags=("x",))
    site.register("a.py", problem="boom")
    assert site.tracker.owners() == {"x": "a.py"}


def test_file_that_misses_a_module_is_tried_again_when_a_file_appears(site: Site) -> None:
    site.write("a.py")
    site.register("a.py", problem="no helper", misses_module=True)
    assert site.look().to_import == []
    site.write("helper.py", "x = 1\n")
    assert site.look().to_import == ["a.py"]


@pytest.mark.parametrize(
    "release", [lambda site: site.register("a.py"), lambda site: site.tracker.forgotten("a.py")]
)
def test_refused_file_is_tried_again_when_its_rival_changes(
    site: Site, release: Callable[[Site], None]
) -> None:
    for path in ("a.py", "b.py"):
        site.write(path)
    site.register("a.py", dags=("x",))
    site.tracker.registered(site.result("b.py", problem="x is in a.py"), frozenset({"a.py"}))
    assert site.look().to_import == []
    release(site)
    assert "b.py" in site.look().to_import


def test_restart_imports_only_changed_and_broken_files(site: Site) -> None:
    known = []
    for path in ("same.py", "changed.py", "broken.py", "young.py"):
        site.write(path)
        result = site.result(path)
        key = "" if path == "young.py" else result.stat_key
        known.append(
            KnownFile(path, content_hash(result.sources), key, (path,), (), is_broken=path == "broken.py")
        )
    site.write("changed.py", "import orch # new\n")
    site.tracker = site.new_tracker()
    site.tracker.load(known)
    changes = site.look()
    assert (changes.to_import, list(changes.settled)) == (["broken.py", "changed.py"], ["young.py"])


def test_busy_files_are_left_alone(site: Site) -> None:
    site.write("a.py")
    assert site.tracker.compare(discover(site.folder), busy={"a.py"}) == Changes()
