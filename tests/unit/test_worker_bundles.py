"""Bundles laid out: whole folders of stored code, whoever makes them and whatever is in the way."""

import logging
import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orch.domain.sources import PinRule, bundle_text, digest_text
from orch.failpoints import FailpointError, Failpoints
from orch.worker.bundles import KEPT, LEFTOVER_SECONDS, BundleLost, Bundles

OLD = -2 * LEFTOVER_SECONDS


class Stored:
    """A store in memory."""

    def __init__(self) -> None:
        self.bundles: dict[str, dict[str, str]] = {}
        self.contents: dict[str, bytes] = {}
        self.used: set[str] = set()

    def add(self, aliases: dict[str, str] | None = None, **texts: str) -> str:
        named = {name.replace("__", "/").replace("_py", ".py"): text for name, text in texts.items()}
        self.contents |= {digest_text(text): text.encode() for text in named.values()}
        files = {path: digest_text(text) for path, text in named.items()}
        files |= {path: f"alias:{target}" for path, target in (aliases or {}).items()}
        self.bundles[digest_text(bundle_text(files))] = files
        return digest_text(bundle_text(files))

    def bundle_files(self, bundle: str) -> dict[str, str] | None:
        return self.bundles.get(bundle)

    def blobs(self, hashes: Sequence[str]) -> dict[str, bytes]:
        return {hash_: self.contents[hash_] for hash_ in hashes if hash_ in self.contents}

    def bundles_in_use(self) -> set[str]:
        return self.used


@pytest.fixture
def stored() -> Stored:
    return Stored()


@pytest.fixture
def live(tmp_path: Path) -> Path:
    (tmp_path / "dags").mkdir()
    return tmp_path / "dags"


@pytest.fixture
def make(tmp_path: Path, live: Path, stored: Stored) -> Callable[..., Bundles]:
    def made(failpoints: Failpoints | None = None) -> Bundles:
        rule = PinRule((".sql",), 100)
        return Bundles(tmp_path / "bundles", live, rule, stored, failpoints or Failpoints())

    return made


def test_files_are_there_as_they_were_stored_and_cannot_be_written(make, stored: Stored) -> None:
    layout = make().lay_out(stored.add(a_py="1", pkg__b_py="2"))
    assert (layout / "a.py").read_text() == "1"
    assert (layout / "pkg/b.py").read_text() == "2"
    assert stat.S_IMODE((layout / "a.py").stat().st_mode) == 0o555
    assert stat.S_IMODE((layout / "pkg").stat().st_mode) == 0o555


def test_states_share_the_files_that_are_the_same(make, stored: Stored) -> None:
    bundles = make()
    one, two = (
        bundles.lay_out(stored.add(a_py="1", b_py="2")),
        bundles.lay_out(stored.add(a_py="1", b_py="3")),
    )
    assert (one / "a.py").samefile(two / "a.py")


def test_data_is_linked_to_where_it_is_and_new_code_is_left_out(make, stored: Stored, live: Path) -> None:
    (live / "data").mkdir()
    (live / "pkg/more").mkdir(parents=True)
    for name in ("a.py", "new.py", "new.sql", "in.csv", "pkg/in.csv", os.fsdecode(b"\xff.csv")):
        (live / name).write_text("live")
    (live / "big.sql").write_text("x" * 101)
    layout = make().lay_out(stored.add(a_py="1", pkg__b_py="2"))
    linked = {"data", "in.csv", "big.sql", os.fsdecode(b"\xff.csv")}
    assert {path.name for path in layout.iterdir()} == {"a.py", "pkg"} | linked
    assert {path.name for path in (layout / "pkg").iterdir()} == {"b.py", "in.csv", "more"}
    assert (layout / "a.py").read_text() == "1"
    assert (layout / "data").readlink() == live / "data"


def test_a_second_way_to_a_folder_leads_to_the_stored_files(make, stored: Stored, live: Path) -> None:
    (live / "pkg").mkdir()
    (live / "pkg/b.py").write_text("live")
    (live / "z").symlink_to("pkg")
    layout = make().lay_out(stored.add({"z": "pkg", "pkg/up": "", "lost": "gone"}, pkg__b_py="stored"))
    assert (layout / "z/b.py").read_text() == "stored"
    assert (layout / "pkg/up/pkg/b.py").read_text() == "stored"


@pytest.mark.parametrize("damage", ["text", "gone", "link", "folder"])
def test_a_damaged_layout_is_made_again(make, stored: Stored, damage: str) -> None:
    bundles, bundle = make(), stored.add(a_py="1")
    file = bundles.lay_out(bundle) / "a.py"
    file.parent.chmod(0o700)
    file.chmod(0o700)
    if damage == "text":
        file.write_text("2")  # the shared content is damaged with it
    else:
        file.unlink()
    if damage == "link":
        file.symlink_to("/etc/hostname")
    if damage == "folder":
        file.parent.rmdir()
        file.parent.write_text("in the way")
    assert (bundles.lay_out(bundle) / "a.py").read_text() == "1"


def test_workers_that_lay_out_the_same_at_once_all_find_it_whole(
    make, stored: Stored, tmp_path: Path
) -> None:
    bundle = stored.add(None, **{f"f{n}_py": f"{n}" for n in range(50)})
    with ThreadPoolExecutor(8) as pool:
        layouts = list(pool.map(lambda _: make().lay_out(bundle), range(8)))
    assert len(set(layouts)) == 1
    assert len(list(layouts[0].iterdir())) == 50
    assert not list((tmp_path / "bundles").glob(".new-*"))


def test_what_a_killed_worker_left_is_removed_after_a_while(make, stored: Stored, tmp_path: Path) -> None:
    with pytest.raises(FailpointError):
        make(Failpoints({"layout.before_rename": "error"})).lay_out(stored.add(a_py="1"))
    (left,) = (tmp_path / "bundles").glob(".new-*")
    make().lay_out(stored.add(a_py="2"))
    assert left.exists()
    os.utime(left, (left.stat().st_mtime + OLD,) * 2)
    make().lay_out(stored.add(a_py="3"))
    assert not left.exists()


def test_of_layouts_that_nobody_needs_only_the_newest_stay(make, stored: Stored, tmp_path: Path) -> None:
    bundles = make()
    made = []
    for number in range(KEPT + 4):
        made.append(bundles.lay_out(stored.add(a_py=str(number))))
        os.utime(made[-1], (1_000_000 + number,) * 2)
        stored.used = {made[0].name}
    gone = [number for number, layout in enumerate(made) if not layout.exists()]
    assert gone == [1, 2]
    assert stat.S_ISREG((tmp_path / "bundles/blobs" / digest_text("0")).stat().st_mode)


def test_what_a_task_has_written_beside_the_code_is_never_deleted(
    make, stored: Stored, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundles = make()
    layout = bundles.lay_out(stored.add(a_py="first"))
    layout.chmod(0o700)
    (layout / "result.csv").write_text("precious")
    for number in range(KEPT + 3):
        os.utime(bundles.lay_out(stored.add(a_py=str(number))), (2_000_000_000 + number,) * 2)
    assert not layout.exists()
    (kept,) = (tmp_path / "bundles").glob("kept-*/result.csv")
    assert kept.read_text() == "precious"
    assert "result.csv" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING


def test_code_that_is_not_in_the_store_is_named(make, stored: Stored) -> None:
    with pytest.raises(BundleLost, match="is not in the database"):
        make().lay_out("0" * 64)
    bundle = stored.add(a_py="1")
    stored.contents[digest_text("1")] = b"other"
    with pytest.raises(BundleLost, match="is not in the database"):
        make().lay_out(bundle)


def test_data_that_comes_later_is_linked_and_code_is_not(make, stored: Stored, live: Path) -> None:
    (live / "pkg").mkdir()
    bundles, bundle = make(), stored.add(a_py="1", pkg__b_py="2")
    layout = bundles.lay_out(bundle)
    (live / "data").mkdir()
    for name in ("in.csv", "pkg/in.csv", "data/in.csv", "new.py", "pkg/new.sql", "fast.so", "pkg/b.py"):
        (live / name).write_text("live")
    bundles.refresh(bundle)
    assert {path.name for path in layout.iterdir()} == {"a.py", "pkg", "data", "in.csv"}
    assert {path.name for path in (layout / "pkg").iterdir()} == {"b.py", "in.csv"}
    assert (layout / "pkg/b.py").read_text() == "2"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (layout, layout / "pkg")} == {0o555}


def test_links_to_what_is_gone_are_removed_and_come_back(make, stored: Stored, live: Path) -> None:
    for name in ("in.csv", "fast.so"):
        (live / name).write_text("live")
    bundles, bundle = make(), stored.add(a_py="1")
    layout = bundles.lay_out(bundle)
    for name in ("in.csv", "fast.so"):
        (live / name).unlink()
    bundles.refresh(bundle)
    assert {path.name for path in layout.iterdir()} == {"a.py", "fast.so"}  # may be built anew just now
    (live / "in.csv").write_text("again")
    make().lay_out(bundle)  # another worker
    assert (layout / "in.csv").read_text() == "again"


def test_a_folder_that_looks_as_before_is_not_read_again(
    make, stored: Stored, live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orch.worker.live_links.SETTLED_NS", -(10**12))
    bundles, bundle = make(), stored.add(a_py="1")
    layout = bundles.lay_out(bundle)
    layout.chmod(0o700)
    (layout / "gone.csv").symlink_to(live / "gone.csv")
    bundles.refresh(bundle)
    assert (layout / "gone.csv").is_symlink()
    (live / "in.csv").write_text("live")
    bundles.refresh(bundle)
    assert {path.name for path in layout.iterdir()} == {"a.py", "in.csv"}


def test_a_layout_that_another_worker_made_is_looked_at_though_it_was_not_there(
    make, stored: Stored, live: Path
) -> None:
    bundles, bundle = make(), stored.add(a_py="1")
    bundles.refresh(bundle)
    layout = make().lay_out(bundle)
    (live / "in.csv").write_text("live")
    bundles.refresh(bundle)
    assert (layout / "in.csv").is_symlink()


def test_workers_that_link_new_data_at_once_all_find_it(make, stored: Stored, live: Path) -> None:
    bundle = stored.add(a_py="1")
    workers = [make() for _ in range(8)]
    (layout,) = {worker.lay_out(bundle) for worker in workers}
    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            (live / f"{number}.csv").write_text("live")
            list(pool.map(lambda worker: worker.refresh(bundle), workers))
            assert (layout / f"{number}.csv").is_symlink()
    assert stat.S_IMODE(layout.stat().st_mode) == 0o555
