"""Dying together, lock files, stop signals and the supervisor of components, with real processes."""

import fcntl
import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orch.errors import Conflict
from orch.processes import LockFile, StopSignal, boot_id, children, describe_exit
from orch.processes.lineage import _children_by_scan

Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start Python code in a process that ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def run(code: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", textwrap.dedent(code)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        with process:
            process.kill()


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_for_end(pid: int, timeout: float = 5.0) -> bool:
    """Wait until a process that is not our child has ended; True also when it had ended before."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], timeout)[0])
    finally:
        os.close(fd)


HOLDER = """
    from pathlib import Path
    from orch.processes import LockFile
    lock = LockFile.acquire(Path({path!r}))
    print("locked", flush=True)
    input()
    lock.release()
    print("released", flush=True)
    input()
"""


def test_a_lock_is_free_only_after_its_holder_is_killed(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "worker.lock"
    holder = start(HOLDER.format(path=str(path)))
    assert read_line(holder) == "locked"
    assert not LockFile.is_free(path)
    with pytest.raises(Conflict, match=f"locked by process {holder.pid}"):
        LockFile.acquire(path)
    holder.kill()
    holder.wait()
    assert path.exists()
    assert LockFile.is_free(path)


def test_a_released_lock_leaves_no_file_and_is_free(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "worker.lock"
    holder = start(HOLDER.format(path=str(path)))
    assert read_line(holder) == "locked"
    print(file=holder.stdin, flush=True)
    assert read_line(holder) == "released"
    assert not path.exists()
    assert LockFile.is_free(path)


def test_asking_about_our_own_lock_does_not_lose_it(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "own.lock"
    with LockFile.acquire(path):
        assert not LockFile.is_free(path)
        with pytest.raises(Conflict, match="by this process"):
            LockFile.acquire(path)
        other = start(
            f"""
            from pathlib import Path
            from orch.processes import LockFile
            print(LockFile.is_free(Path({str(path)!r})))
            """
        )
        assert read_line(other) == "False"
    assert LockFile.is_free(path)


def test_a_lock_left_by_a_dead_process_can_be_taken(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "up.lock"
    holder = start(HOLDER.format(path=str(path)))
    assert read_line(holder) == "locked"
    holder.kill()
    holder.wait()
    with LockFile.acquire(path):
        assert path.read_text() == f"{os.getpid()}\n"
        assert path.stat().st_mode & 0o777 == 0o600


def test_asking_about_a_lock_does_not_take_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(*_: object) -> None:
        raise AssertionError("the lock was taken")

    path = tmp_path / "asked.lock"
    path.touch()
    monkeypatch.setattr(fcntl, "lockf", taken)
    assert LockFile.is_free(path)


def test_a_child_dies_with_its_killed_parent(start: Start) -> None:
    parent = start(
        """
        import os, signal
        from orch.processes import die_with_parent
        me = os.getpid()
        if (pid := os.fork()) == 0:
            die_with_parent(me)
            print(os.getpid(), flush=True)
            signal.pause()
        os.waitpid(pid, 0)
        """
    )
    child = int(read_line(parent))
    parent.kill()
    assert wait_for_end(child)


def test_a_child_that_comes_too_late_ends_itself(start: Start) -> None:
    late = start(
        """
        from orch.processes import die_with_parent
        die_with_parent(1 << 22)
        print("alive")
        """
    )
    assert late.wait() == -signal.SIGKILL
    assert read_line(late) == ""


def test_orphans_come_to_the_subreaper_and_strangers_are_killed(start: Start) -> None:
    reaper = start(
        """
        import os, select, signal
        from orch.processes import become_subreaper, children, kill_strangers
        become_subreaper()
        reader, writer = os.pipe()
        if (middle := os.fork()) == 0:
            if os.fork() == 0:
                os.setsid()
                os.write(writer, b"%d" % os.getpid())
                signal.pause()
            os._exit(0)
        os.waitpid(middle, 0)
        orphan = int(os.read(reader, 32))
        assert children() == {orphan}, children()
        assert kill_strangers({orphan}) == set()
        fd = os.pidfd_open(orphan)
        kill_strangers(())
        select.select([fd], [], [])
        print(kill_strangers(()), children())
        """
    )
    assert read_line(reaper) == "set() set()"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a process that the next user cannot kill")
def test_a_stranger_of_another_user_is_named_once_and_reaped_after_its_end(start: Start) -> None:
    reaper = start(
        """
        import logging, os, select, signal, sys
        from orch.processes import children, die_with_parent, end_strangers, kill_strangers
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        reader, writer = os.pipe()
        me = os.getpid()
        if (stranger := os.fork()) == 0:
            die_with_parent(me)
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        os.close(reader)
        os.setuid(65534)
        assert kill_strangers(()) == set()
        assert end_strangers((), 60.0) == set()
        assert children() == {stranger}
        fd = os.pidfd_open(stranger)
        os.close(writer)
        select.select([fd], [], [])
        print(kill_strangers(()), children(), flush=True)
        """
    )
    assert "runs as another user" in read_line(reaper)
    assert read_line(reaper) == "set() set()"


def test_children_are_found_without_the_children_file(start: Start) -> None:
    child = start("input()")

    assert child.pid in children()
    assert child.pid in _children_by_scan()


def test_the_boot_id_stays_the_same() -> None:
    assert boot_id() == boot_id() != ""


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exit code 0"),
        (3, "exit code 3"),
        (-9, "signal 9 (SIGKILL)"),
        (-63, "signal 63"),
        (-34, "signal 34"),
    ],
)
def test_exits_are_described(status: int, words: str) -> None:
    assert describe_exit(status).startswith(words)


def test_a_stop_signal_counts_and_wakes_and_gives_handlers_back() -> None:
    former = signal.getsignal(signal.SIGTERM)
    with StopSignal((signal.SIGTERM,)) as stop:
        assert not stop.wait(0)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(5)
        stop.set()
        assert stop.count == 2
        stop.drain()
        assert select.select([stop], [], [], 0)[0] == []
        assert stop.is_set
    assert signal.getsignal(signal.SIGTERM) is former


SUPERVISED = """
    import os, signal, sys
    from pathlib import Path
    from orch.processes import Component, StopSignal, Supervisor

    def say(*words):
        os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # whole, among other processes' lines

    def tell(event):
        if event.kind != "started":
            say(event.kind, event.name, event.exit)

    def steady(stop):
        say("up", os.getpid())
        stop.wait()
        say("down", os.getpid())

    def deaf(stop):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        say("up", os.getpid())
        signal.sigwait([signal.SIGUSR1])

    def short(stop):
        return 7

    def breaks(stop):
        print("partial")
        raise ValueError("broken on purpose")

    def leaves_an_orphan(stop):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.setsid()
            say("orphan", os.getpid())
            os.close(writer)
            signal.pause()
        os.close(writer)
        os.read(reader, 1)
        return 3

    components = [{components}]
    sys.exit(Supervisor(components, grace_seconds={grace}, on_event=tell).run(StopSignal()))
"""


def supervise(start: Start, components: str, grace: float = 5.0) -> subprocess.Popen[str]:
    return start(SUPERVISED.format(components=components, grace=grace))


def test_a_killed_component_is_started_again(start: Start) -> None:
    supervisor = supervise(start, "Component('steady', steady)")
    first = int(read_line(supervisor).split()[1])
    os.kill(first, signal.SIGKILL)
    assert read_line(supervisor) == "restarting steady signal 9 (SIGKILL)"
    second = int(read_line(supervisor).split()[1])
    assert second != first
    supervisor.terminate()
    assert read_line(supervisor) == f"down {second}"
    assert read_line(supervisor) == "ended steady exit code 0"
    assert supervisor.wait() == 0


def test_components_die_with_a_killed_supervisor(start: Start) -> None:
    supervisor = supervise(start, "Component('steady', steady)")
    pid = int(read_line(supervisor).split()[1])
    supervisor.kill()
    assert wait_for_end(pid)


def test_an_interrupt_of_the_terminal_stops_components_once(start: Start) -> None:
    supervisor = supervise(start, "Component('steady', steady)")
    pid = int(read_line(supervisor).split()[1])
    os.kill(pid, signal.SIGINT)
    supervisor.send_signal(signal.SIGINT)
    assert read_line(supervisor) == f"down {pid}"
    assert supervisor.wait() == 0


def test_a_deaf_component_is_killed_after_the_grace(start: Start) -> None:
    supervisor = supervise(start, "Component('deaf', deaf)", grace=0.1)
    read_line(supervisor)
    supervisor.terminate()
    assert read_line(supervisor) == "ended deaf signal 9 (SIGKILL)"
    assert supervisor.wait() == 0


def test_the_end_of_an_essential_component_ends_all_with_its_code(start: Start) -> None:
    supervisor = supervise(start, "Component('steady', steady), Component('short', short, ends_all=True)")
    lines = [read_line(supervisor) for _ in range(3)]
    assert "ended short exit code 7" in lines
    assert supervisor.wait() == 7


def test_a_component_that_outlives_is_stopped_last(start: Start) -> None:
    parts = "Component('view', steady, outlives=True), Component('steady', steady)"
    supervisor = supervise(start, parts)
    assert {read_line(supervisor)[:3] for _ in range(2)} == {"up "}
    supervisor.terminate()
    ended = [line for line in (read_line(supervisor) for _ in range(4)) if line.startswith("ended")]
    assert ended == ["ended steady exit code 0", "ended view exit code 0"]


def test_a_broken_component_leaves_its_traceback_in_its_log(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "breaks.log"
    supervisor = supervise(start, f"Component('breaks', breaks, log_path=Path({str(log)!r}))")
    assert read_line(supervisor) == "restarting breaks exit code 1"
    assert read_line(supervisor) == "restarting breaks exit code 1"
    supervisor.terminate()
    assert supervisor.wait() == 0
    assert log.read_text().startswith("partial\nTraceback")
    assert "ValueError: broken on purpose" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_what_a_component_leaves_behind_is_killed(start: Start) -> None:
    supervisor = supervise(start, "Component('leaves', leaves_an_orphan, ends_all=True)")
    orphan = next(
        int(line.split()[1]) for line in iter(lambda: read_line(supervisor), "") if "orphan" in line
    )
    assert supervisor.wait() == 3
    with pytest.raises(ProcessLookupError):
        os.kill(orphan, 0)
