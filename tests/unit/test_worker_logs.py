"""The log of an attempt: lines, caps, marks, broken disks, and reading it back."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePath

import pytest

from orch.errors import BadInput
from orch.worker.logs import PIECE_CHARS, AttemptLog, attempt_log_path, read_end, read_log

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
NAME = PurePath("flow", "run", "load", "try-1.epoch-1.jsonl")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def new_log(folder: Path, max_bytes: int = 1_000_000) -> AttemptLog:
    return AttemptLog(folder, NAME, max_bytes, lambda: NOW)


def texts(folder: Path, stream: str = "stdout") -> list[str]:
    return [line.text for line in read_log(folder / NAME) if line.stream == stream]


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """Let every file end at `size` bytes: the write that would pass it fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_lines_come_back_with_time_and_stream(folder: Path) -> None:
    log = new_log(folder)
    log.feed("stdout", b"one\ntw")
    log.feed("stderr", b"other\n")
    log.feed("stdout", b"o\n\n")
    log.close("success")
    assert [(line.at, line.stream, line.text) for line in read_log(folder / NAME)] == [
        (NOW, "stdout", "one"),
        (NOW, "stderr", "other"),
        (NOW, "stdout", "two"),
        (NOW, "stdout", ""),
    ]


def test_each_line_is_json_and_the_last_one_is_the_end_mark(folder: Path) -> None:
    log = new_log(folder)
    log.feed("stdout", b"hello\n")
    log.close("failed")
    lines = [json.loads(line) for line in (folder / NAME).read_text().splitlines()]
    at = "2026-05-01T12:00:00.000000+00:00"
    assert lines == [
        {"at": at, "stream": "stdout", "text": "hello"},
        {"at": at, "end": True, "outcome": "failed"},
    ]


def test_the_outcome_is_known_only_after_the_end(folder: Path) -> None:
    log = new_log(folder)
    log.feed("stdout", b"hello\n")
    assert read_end(folder / NAME) is None
    log.close("skipped")
    assert read_end(folder / NAME) == "skipped"


def test_an_empty_log_has_no_outcome(folder: Path) -> None:
    new_log(folder)
    assert read_end(folder / NAME) is None
    assert texts(folder) == []


def test_user_code_cannot_forge_the_end(folder: Path) -> None:
    log = new_log(folder)
    log.feed("stdout", b'{"end": true, "outcome": "success"}\n')
    assert read_end(folder / NAME) is None
    assert texts(folder) == ['{"end": true, "outcome": "success"}']


def test_a_last_line_without_its_end_is_kept(folder: Path) -> None:
    log = new_log(folder)
    log.feed("stdout", b"no newline")
    assert texts(folder) == []
    log.close("success")
    assert texts(folder) == ["no newline"]


def test_binary_output_becomes_text(folder: Path) -> None:
    log = new_log(folder)
    log.feed("stdout", b"\x00\xff\x1b[31mred\r50%\r100%\xe2\x80\xa8\n")
    log.close("success")
    assert texts(folder) == ["\x00\\xff\x1b[31mred\r50%\r100%\u2028"]


def test_a_character_split_between_two_reads_stays_whole(folder: Path) -> None:
    log = new_log(folder)
    log.feed("stdout", "ä€".encode()[:3])
    log.feed("stdout", "ä€".encode()[3:] + b"\n")
    log.close("success")
    assert texts(folder) == ["ä€"]


def test_a_cut_character_at_the_end_is_shown_as_bytes(folder: Path) -> None:
    log = new_log(folder)
    log.feed("stdout", b"x\xe2\x82")
    log.close("success")
    assert texts(folder) == ["x\\xe2\\x82"]


def test_an_endless_line_is_written_in_pieces(folder: Path) -> None:
    log = new_log(folder)
    for _ in range(3):
        log.feed("stdout", b"x" * PIECE_CHARS)
    assert [len(text) for text in texts(folder)] == [PIECE_CHARS] * 3
    log.feed("stdout", b"tail\n")
    log.close("success")
    assert texts(folder)[3:] == ["tail"]


def test_a_long_line_that_ends_is_cut_too(folder: Path) -> None:
    log = new_log(folder)
    log.feed("stdout", b"x" * (PIECE_CHARS - 1))
    log.feed("stdout", b"y" * 3 + b"\n")
    assert [len(text) for text in texts(folder)] == [PIECE_CHARS, 2]


def test_a_full_log_is_cut_off_with_a_mark(folder: Path) -> None:
    log = new_log(folder, max_bytes=1_000)
    for number in range(1_000):
        log.feed("stdout", b"line %d\n" % number)
    log.note("Traceback: it broke")
    log.close("failed")
    assert (folder / NAME).stat().st_size < 1_500
    assert texts(folder)[0] == "line 0"
    assert texts(folder, "orch") == ["the rest is cut off here (worker.log_max_bytes)", "Traceback: it broke"]
    assert read_end(folder / NAME) == "failed"


def test_a_full_disk_loses_lines_but_not_the_marks(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = new_log(folder)
    with disk_full_at(8_192):
        for number in range(200):
            log.feed("stdout", b"line %d\n" % number)
        log.close("success")
    assert (folder / NAME).stat().st_size <= 8_192
    assert texts(folder) == [f"line {number}" for number in range(len(texts(folder)))]
    assert texts(folder, "orch") == ["the rest is lost: File too large"]
    assert read_end(folder / NAME) == "success"
    assert len(caplog.records) == 1


def test_a_disk_without_any_room_is_named_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = new_log(folder)
    with disk_full_at(0):
        log.feed("stdout", b"line\n" * 10)
        log.note("more")
        log.close("success")
    assert list(read_log(folder / NAME)) == []
    assert len(caplog.records) == 1


def test_a_folder_that_cannot_be_made_costs_only_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "flow").write_text("a file in the place of the folder")
    log = new_log(tmp_path)
    log.feed("stdout", b"line\n")
    log.note("more")
    log.close("success")
    assert "its task runs without a log" in caplog.text


def test_files_and_folders_are_for_their_owner(folder: Path) -> None:
    new_log(folder)
    path = folder / NAME
    assert path.stat().st_mode & 0o777 == 0o600
    assert {parent.stat().st_mode & 0o777 for parent in (path.parent, path.parents[1])} == {0o700}


def test_a_link_in_the_place_of_the_log_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "elsewhere")
    log = new_log(tmp_path)
    log.feed("stdout", b"line\n")
    log.close("success")
    assert not (tmp_path / "elsewhere").exists()


def test_text_that_no_encoding_can_hold_is_escaped(folder: Path) -> None:
    log = new_log(folder)
    log.note("lone \udc80 surrogate")
    log.close("failed")
    assert texts(folder, "orch") == ["lone \\udc80 surrogate"]


def test_a_damaged_line_and_one_in_the_making_do_not_stop_the_reader(folder: Path) -> None:
    path = folder / NAME
    path.parent.mkdir(parents=True)
    good = b'{"at":"2026-05-01T12:00:00+00:00","stream":"stdout","text":"good"}\n'
    path.write_bytes(b"{damaged\xff\n" + b"[1]\n" + good + b'{"at":"2026')
    assert [(line.stream, line.text) for line in read_log(path)] == [
        ("orch", "{damaged\\xff"),
        ("orch", "[1]"),
        ("stdout", "good"),
    ]


def test_each_attempt_has_a_file_of_its_own() -> None:
    path = attempt_log_path("flow", "scheduled__2026-05-01T00:00:00+00:00", "load", -1, 2, 7)
    assert path == PurePath("flow/scheduled__2026-05-01T00:00:00+00:00/load.try-2.epoch-7.jsonl")


def test_a_mapped_task_never_shares_a_file_with_another_task() -> None:
    mapped = attempt_log_path("flow", "run", "load", 1, 1, 1)
    assert mapped != attempt_log_path("flow", "run", "load.1", -1, 1, 1)
    assert mapped == PurePath("flow/run/load+1.try-1.epoch-1.jsonl")


def test_two_tasks_never_share_a_file_however_they_are_called() -> None:
    one = attempt_log_path("flow", "run", "load", -1, 1, 1)
    other = attempt_log_path("flow", "run", "load.try-1.epoch-1.jsonl", -1, 1, 1)
    assert one != other


def test_a_task_of_the_longest_name_has_a_log(tmp_path: Path) -> None:
    name = attempt_log_path("flow", "run", "x" * 250, -1, 1, 1)
    AttemptLog(tmp_path, name, 10_000).close("success")
    assert read_end(tmp_path / name) == "success"


@pytest.mark.parametrize("bad", ["..", "../x", "/etc", "a/b", "a\x00b", "", ".hidden", "a\u202eb", "x" * 251])
def test_ids_that_could_leave_the_folder_are_refused(bad: str) -> None:
    for ids in ((bad, "run", "load"), ("flow", bad, "load"), ("flow", "run", bad)):
        with pytest.raises(BadInput):
            attempt_log_path(*ids, -1, 1, 1)
