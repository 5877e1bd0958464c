"""Leftovers: what was not there before is found, and what was there is not."""

import mmap
import os
import subprocess
import threading

from orch.runner.leftovers import Leftovers

PLENTY = 1 << 40


def test_nothing_is_found_when_nothing_was_left() -> None:
    leftovers = Leftovers(())
    with open(os.devnull) as file:  # noqa: PTH123
        assert leftovers.found(PLENTY) == "open or closed file descriptors"
        file.read()
    assert leftovers.found(PLENTY) is None


def test_a_descriptor_that_was_closed_or_replaced_is_found() -> None:
    reader, writer = os.pipe()
    leftovers = Leftovers(())
    os.dup2(0, reader)
    assert leftovers.found(PLENTY) == "open or closed file descriptors"
    os.close(reader)
    assert leftovers.found(PLENTY) == "open or closed file descriptors"
    os.close(writer)


def test_a_thread_is_found_until_it_has_ended() -> None:
    leftovers = Leftovers(())
    go = threading.Event()
    thread = threading.Thread(target=go.wait, daemon=True)
    thread.start()
    assert leftovers.found(PLENTY) == "1 threads"
    go.set()
    thread.join()


def test_a_child_is_found_until_it_was_waited_for() -> None:
    leftovers = Leftovers(())
    child = subprocess.Popen(["true"], stdin=subprocess.DEVNULL)
    assert leftovers.found(PLENTY) == "child processes"
    child.wait()
    assert leftovers.found(PLENTY) is None


def test_growth_counts_from_the_first_task_on() -> None:
    leftovers = Leftovers(())
    assert leftovers.found(0) is None
    block = mmap.mmap(-1, 30_000_000)  # pages of its own: the heap may have that much left over
    block.write(b"x" * len(block))
    assert str(leftovers.found(10_000_000)).endswith("MiB of memory")
    assert leftovers.found(len(block) * 100) is None
