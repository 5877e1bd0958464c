"""The wire between worker, host and task: frames of any size arrive whole, with their descriptors."""

import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch.runner.host_wire import MAX_FRAME_BYTES, Frame, Wire, WireClosed, WireError


@pytest.fixture
def wires() -> Iterator[tuple[Wire, Wire]]:
    left, right = (Wire(end) for end in socket.socketpair())
    yield left, right
    left.close()
    right.close()


@pytest.fixture
def raw() -> Iterator[tuple[socket.socket, Wire]]:
    left, right = socket.socketpair()
    wire = Wire(right)
    yield left, wire
    left.close()
    wire.close()


def test_a_frame_arrives_as_it_was_sent(wires: tuple[Wire, Wire]) -> None:
    left, right = wires
    left.send(Frame({"op": "answer", "value": None}, "text ä \udc80 \x00"))
    frame = right.receive_one()
    assert (frame.op, frame.head["value"], frame.text, frame.fds) == (
        "answer",
        None,
        "text ä \udc80 \x00",
        (),
    )


def test_nothing_is_received_while_nothing_has_come(wires: tuple[Wire, Wire]) -> None:
    left, right = wires
    assert right.receive() is None
    assert not right.is_readable
    left.send(Frame({"op": "start"}))
    assert right.is_readable


def test_descriptors_travel_with_their_frame_and_leave_their_sender(wires: tuple[Wire, Wire]) -> None:
    left, right = wires
    first, second = os.pipe()
    before = os.fstat(second).st_ino
    left.send(Frame({"op": "plain"}))
    left.send(Frame({"op": "with"}, fds=(first, second)))
    left.send(Frame({"op": "plain"}))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(first)
    frames = [right.receive_one() for _ in range(3)]
    assert [len(frame.fds) for frame in frames] == [0, 2, 0]
    assert os.fstat(frames[1].fds[1]).st_ino == before
    assert not any(os.get_inheritable(fd) for fd in frames[1].fds)
    for fd in frames[1].fds:
        os.close(fd)


def test_a_large_frame_goes_piece_by_piece_without_blocking(wires: tuple[Wire, Wire]) -> None:
    left, right = wires
    reader, writer = os.pipe()
    left.queue(Frame({"op": "start"}, "x" * 3_000_000, (writer,)))
    left.flush()
    assert left.has_unsent
    received: list[Frame] = []
    while not received:
        left.flush()
        received = right.receive() or []
    assert (len(received[0].text), len(received[0].fds), left.has_unsent) == (3_000_000, 1, False)
    os.close(reader)
    os.close(received[0].fds[0])


def test_the_end_of_the_peer_is_told_to_reader_and_writer(wires: tuple[Wire, Wire]) -> None:
    left, right = wires
    left.send(Frame({"op": "last"}))
    left.close()
    assert right.receive_one().op == "last"
    with pytest.raises(WireClosed):
        right.receive()
    with pytest.raises(WireClosed):
        right.send(Frame({"op": "late"}))


def test_descriptors_that_nobody_took_are_closed(raw: tuple[socket.socket, Wire]) -> None:
    left, wire = raw
    reader, writer = os.pipe()
    socket.send_fds(left, [b"\x00"], [writer])
    os.close(writer)
    assert wire.receive() == []
    wire.close()
    assert os.read(reader, 1) == b""
    os.close(reader)


def _feed(left: socket.socket, wire: Wire, data: bytes) -> None:
    while data:
        data = data[left.send(data) :]
        wire.receive()
    while wire.receive() is not None:
        continue


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 64,
        struct.pack("!II", 1, MAX_FRAME_BYTES),
        struct.pack("!II", 3, 0) + b"[1]",
        struct.pack("!II", 3, 0) + b"{{{",
        struct.pack("!II", 100_000, 0) + b"[" * 100_000,
        struct.pack("!II", 10, 0) + b'{"fds": 2}',
    ],
)
def test_nonsense_is_refused(raw: tuple[socket.socket, Wire], data: bytes) -> None:
    left, wire = raw
    left.setblocking(False)
    with pytest.raises(WireError):
        _feed(left, wire, data)


@given(
    st.lists(st.tuples(st.text(max_size=20), st.text(max_size=300)), max_size=10),
    st.lists(st.integers(1, 400), min_size=1, max_size=10),
)
def test_frames_are_the_same_however_the_stream_is_cut(
    frames: list[tuple[str, str]], sizes: list[int]
) -> None:
    stream = b"".join(Frame({"op": op}, text).encode() for op, text in frames)
    left, right = socket.socketpair()
    received: list[tuple[str, str]] = []
    with left, closing(Wire(right)) as wire:
        for size in cycle(sizes):
            left.sendall(stream[:size])
            received += [(frame.op, frame.text) for frame in wire.receive() or []]
            if not (stream := stream[size:]):
                break
    assert received == frames


def test_a_frame_says_how_many_descriptors_it_carries() -> None:
    encoded = Frame({"op": "start"}, "t", (5, 6)).encode()
    head_length, text_length = struct.unpack_from("!II", encoded)
    assert json.loads(encoded[8 : 8 + head_length]) == {"op": "start", "fds": 2}
    assert (encoded[8 + head_length :], text_length) == (b"t", 1)
