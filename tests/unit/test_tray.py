"""The tray: each start goes to exactly one taker, the task process or the worker that takes it back."""

import os
import select
from collections.abc import Iterator

import pytest

from orch.runner.host_wire import WireClosed, WireError, decode_frame
from orch.runner.tray import INLINE_BYTES, Start, TrayReader, TrayWriter


@pytest.fixture
def tray() -> Iterator[TrayWriter]:
    tray = TrayWriter()
    yield tray
    tray.close()


@pytest.fixture
def reader(tray: TrayWriter) -> Iterator[TrayReader]:
    reader = TrayReader(tray.for_child())
    yield reader
    reader.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def put(tray: TrayWriter, pipe: tuple[int, int], nonce: str, command: str = "{}") -> bool:
    return tray.put(Start(nonce, command, keep=True, growth_bytes=7), pipe[1], pipe[1])


def take(reader: TrayReader) -> Start:
    start, *fds = reader.take()
    for fd in fds:
        os.close(fd)
    return start


def test_a_start_arrives_as_it_was_laid_down(
    tray: TrayWriter, reader: TrayReader, pipe: tuple[int, int]
) -> None:
    assert put(tray, pipe, "a")
    assert reader.is_readable
    start, stdout, stderr = reader.take()
    assert start == Start("a", "{}", keep=True, growth_bytes=7)
    os.write(stdout, b"out")
    os.write(stderr, b"err")
    assert os.read(pipe[0], 10) == b"outerr"
    assert not os.get_inheritable(stdout)
    os.close(stdout)
    os.close(stderr)


@pytest.mark.parametrize("command", ["x" * (INLINE_BYTES + 1), "ä" * 3, "x" * 3_000_000, "\udc80"])
def test_a_command_of_any_kind_and_length_arrives(
    tray: TrayWriter, reader: TrayReader, pipe: tuple[int, int], command: str
) -> None:
    put(tray, pipe, "a", command)
    assert take(reader).command == command


def test_what_was_taken_is_not_taken_back(
    tray: TrayWriter, reader: TrayReader, pipe: tuple[int, int]
) -> None:
    for nonce in "abc":
        put(tray, pipe, nonce)
    assert take(reader).nonce == "a"
    assert tray.take_back() == {"b", "c"}
    assert tray.take_back() == set()
    assert not reader.is_readable


def test_a_start_that_was_taken_back_leaves_no_descriptor_open(
    tray: TrayWriter, pipe: tuple[int, int]
) -> None:
    reader, writer = os.pipe()
    tray.put(Start("a", "{}"), writer, writer)
    os.close(writer)
    assert not select.select([reader], [], [], 0)[0]
    tray.take_back()
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_full_tray_refuses_without_waiting(tray: TrayWriter, pipe: tuple[int, int]) -> None:
    laid = 0
    while put(tray, pipe, str(laid), "x" * INLINE_BYTES):
        laid += 1
    assert laid >= 4
    assert len(tray.take_back()) == laid
    assert put(tray, pipe, "again")


def test_a_closed_tray_gives_what_lies_on_it_and_then_ends(
    tray: TrayWriter, reader: TrayReader, pipe: tuple[int, int]
) -> None:
    put(tray, pipe, "a")
    tray.close()
    assert take(reader).nonce == "a"
    with pytest.raises(WireClosed):
        reader.take()


def test_the_reading_end_cannot_be_written(tray: TrayWriter) -> None:
    child = tray.for_child()
    with pytest.raises(BrokenPipeError):
        os.write(child, b"nonsense")
    os.close(child)


@pytest.mark.parametrize("message", [b"", b"\0" * 7, b"\0\0\0\1\0\0\0\1x", b"\0\0\0\1\0\0\0\0{"])
def test_a_message_that_is_no_frame_is_refused(message: bytes) -> None:
    with pytest.raises(WireError):
        decode_frame(message, ())
