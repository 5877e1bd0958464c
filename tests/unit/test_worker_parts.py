"""Small parts of the worker: the reactor, the back-off, the environment of tasks."""

import os
from collections.abc import Iterator

import pytest

from orch.worker.backoff import FIRST_SECONDS, LONGEST_SECONDS, Backoff
from orch.worker.environment import task_environment
from orch.worker.reactor import Reactor


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    reactor = Reactor()
    yield reactor
    reactor.close()


def test_a_source_that_an_earlier_callback_closed_is_not_called(reactor: Reactor) -> None:
    pipes = [os.pipe(), os.pipe()]
    called = []

    def close_the_other(mine: int, other: int) -> None:
        called.append(mine)
        reactor.forget(other)
        os.close(other)
        os.dup2(mine, other)  # its number is in use again, for something else
        reactor.watch(other, lambda: called.append(-1))

    (first, first_writer), (second, second_writer) = pipes
    reactor.watch(first, lambda: close_the_other(first, second))
    reactor.watch(second, lambda: close_the_other(second, first))
    os.write(first_writer, b"!")
    os.write(second_writer, b"!")
    reactor.run_once(5)
    assert called in ([first], [second])
    for fd in (first, second, first_writer, second_writer):
        os.close(fd)


def test_writable_is_told_only_while_it_is_wanted(reactor: Reactor) -> None:
    reader, writer = os.pipe()
    called: list[str] = []
    reactor.watch(writer, lambda: called.append("read"), lambda: called.append("write"))
    reactor.run_once(0)
    reactor.want_write(writer, True)
    reactor.run_once(5)
    reactor.want_write(writer, False)
    reactor.run_once(0)
    assert called == ["write"]
    os.close(reader)
    os.close(writer)


def test_pauses_grow_up_to_a_limit_and_begin_anew_after_a_success() -> None:
    backoff = Backoff()
    pauses = [backoff.failed(0.0) for _ in range(20)]
    assert FIRST_SECONDS / 2 <= pauses[0] <= FIRST_SECONDS
    assert LONGEST_SECONDS / 2 <= pauses[-1] <= LONGEST_SECONDS
    assert not backoff.allows(0.0)
    assert backoff.allows(pauses[-1])
    backoff.succeeded()
    assert backoff.until is None
    assert backoff.failed(0.0) <= FIRST_SECONDS


def test_tasks_see_no_settings_of_orch() -> None:
    environ = {
        "PATH": "/bin",
        "ORCH_DATABASE_URL": "x",
        "ORCH_ANY_KEY": "y",
        "ORCH_HOME": "h",
        "ORCHARD": "z",
    }
    assert task_environment(environ) == {"PATH": "/bin", "ORCH_HOME": "h", "ORCHARD": "z"}
