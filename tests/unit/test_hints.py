"""Hints: they wake, they never block, and nobody minds when they are lost."""

import select

import pytest

from orch.hints import HintSocket, send_hint


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def test_a_hint_makes_the_socket_readable_until_it_is_drained(run_folder):
    hints = HintSocket.bind(run_folder, "scheduler-1-a")
    assert send_hint(hints.address)
    assert select.select([hints], [], [], 5)[0] == [hints]
    assert hints.drain() is True
    assert hints.drain() is False
    hints.close()


def test_a_thousand_hints_to_a_sleeper_neither_block_nor_fail(run_folder):
    hints = HintSocket.bind(run_folder, "scheduler-1-a")
    assert all(send_hint(hints.address) for _ in range(1000))
    hints.close()


def test_a_hint_to_nobody_says_so(run_folder):
    assert send_hint(str(run_folder / "gone.sock")) is False
    hints = HintSocket.bind(run_folder, "scheduler-1-a")
    address = hints.address
    hints.close()
    assert send_hint(address) is False


def test_a_stale_socket_file_is_replaced(run_folder):
    HintSocket.bind(run_folder, "scheduler-1-a")._socket.close()
    again = HintSocket.bind(run_folder, "scheduler-1-a")
    assert send_hint(again.address)
    again.close()


def test_a_home_with_a_very_long_path_works(tmp_path):
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    hints = HintSocket.bind(folder, "scheduler-1-a")
    assert len(hints.address) > 108
    assert send_hint(hints.address)
    assert hints.drain()
    hints.close()
