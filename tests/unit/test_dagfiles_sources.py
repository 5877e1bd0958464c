"""Sources: stat keys and digests of what an import depends on."""

import os
from pathlib import Path

from orch.dagfiles.sources import (
    SETTLED_NS,
    FileStat,
    are_settled,
    digest_file,
    names_dag,
)
from orch.domain.sources import MISSING, content_hash


def test_digest_is_of_the_content(tmp_path: Path) -> None:
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(text)
    a, b, c = (digest_file(tmp_path / name) for name in "abc")
    assert a == b != c


def test_digest_of_a_folder_is_of_the_names_that_an_author_put_there(tmp_path: Path) -> None:
    before = digest_file(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / ".hidden").touch()
    assert digest_file(tmp_path) == before
    (tmp_path / "new.yaml").touch()
    assert digest_file(tmp_path) != before


def test_what_cannot_be_read_has_a_digest_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # to open it for reading would wait for a writer
    assert digest_file(tmp_path / "pipe") == digest_file(tmp_path / "nowhere") == MISSING


def test_content_hash_depends_on_paths_and_contents_and_not_on_their_order() -> None:
    assert content_hash({"a": "1", "b": "2"}) == content_hash({"b": "2", "a": "1"})
    assert len({content_hash(d) for d in ({"a": "1"}, {"a": "2"}, {"b": "1"}, {"a": "1", "b": "1"})}) == 4


def test_key_betrays_a_restored_modification_time(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("1")
    before = path.stat()
    path.unlink()
    path.write_text("2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert FileStat.of(path.stat()).key != FileStat.of(before).key


def test_file_is_settled_when_its_last_change_is_long_enough_ago() -> None:
    young, old = FileStat("", changed_ns=100), FileStat("", changed_ns=0)
    now = SETTLED_NS + 50
    assert are_settled([old], now)
    assert not are_settled([old, young], now)


def test_dag_id_counts_as_named_only_as_a_whole_word(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("with DAG('load.daily'): ...\n")
    assert names_dag(file, "load.daily")
    assert names_dag(file, "load")
    assert not names_dag(file, "loa")
    assert not names_dag(file, "load-daily")
    assert not names_dag(tmp_path / "none.py", "load")
