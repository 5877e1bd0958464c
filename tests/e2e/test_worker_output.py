"""What tasks write: floods, bytes, endless lines and leftovers that go on writing never harm the worker."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.worker_harness import Harness, all_ended, open_pidfds

pytestmark = pytest.mark.e2e

CAP = 1_000_000


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Harness]:
    harness = Harness(tmp_path, log_max_bytes=CAP)
    yield harness
    harness.close()


def peak_memory_kb(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


def test_a_flood_is_capped_and_costs_no_memory(worker: Harness) -> None:
    worker.write_dag(
        """
        @task
        def quick():
            return 1
        @task
        def floods():
            for _ in range(5 * 1024):
                os.write(1, (b"x" * 63 + b"\\n") * 16)
            return "all of it"
        quick(), floods()
        """
    )
    worker.run("quick")
    before = peak_memory_kb(worker.process.pid)
    report = worker.run("floods")
    assert report["kind"] == "success"
    size = (worker.logs / report["log"]).stat().st_size
    assert CAP * 0.99 < size < CAP * 1.01
    assert worker.log_text(report, "orch") == "the rest is cut off here (worker.log_max_bytes)"
    assert worker.log_end(report) == "success"
    assert peak_memory_kb(worker.process.pid) - before < 16_000


def test_an_endless_line_is_cut_into_pieces(worker: Harness) -> None:
    worker.write_dag("@task\ndef endless():\n    sys.stdout.write('x' * 300_000)\nendless()")
    report = worker.run("endless")
    lines = worker.log(report)
    assert sum(len(line.text) for line in lines) == 300_000
    assert max(len(line.text) for line in lines) == 65_536


def test_bytes_that_are_no_text_are_shown_as_such(worker: Harness) -> None:
    worker.write_dag("@task\ndef binary():\n    os.write(2, bytes(range(256)) + b'\\n')\nbinary()")
    text = worker.log_text(worker.run("binary"), "stderr")
    assert text.startswith("\x00\x01")
    assert text.endswith("\\xfe\\xff\n") or "\\xfe\\xff" in text


def test_what_was_printed_right_before_the_end_is_in_the_log(worker: Harness) -> None:
    worker.write_dag(
        """
        import fcntl
        @task
        def prints():
            sys.stdout.write("no newline, no flush")
            fcntl.fcntl(2, fcntl.F_SETPIPE_SZ, 1_000_000)  # more than the worker reads at once
            os.write(2, b"y" * 500_000)
        prints()
        """
    )
    report = worker.run("prints")
    assert worker.log_text(report, "stdout") == "no newline, no flush"
    assert worker.log_text(report, "stderr").replace("\n", "") == "y" * 500_000


def test_a_leftover_that_goes_on_writing_does_not_hold_up_the_report(worker: Harness) -> None:
    worker.write_dag(
        """
        @task
        def leaves():
            reader, writer = os.pipe()
            if os.fork() == 0:
                os.setsid()
                tell(os.getpid())
                os.close(writer)
                while True:
                    os.write(1, b"still here\\n" * 100)
            os.close(writer)
            os.read(reader, 1)
        leaves()
        """
    )
    worker.queue("leaves")
    watched = open_pidfds([int(worker.next_signal())])
    report = worker.wait_for("report", task="leaves")
    assert report["kind"] == "success"
    assert worker.log_end(report) == "success"
    assert all_ended(watched, 1.0)


def test_a_leftover_that_keeps_the_pipe_of_a_killed_task_does_not_hold_up_the_report(worker: Harness) -> None:
    worker.write_dag(
        """
        @task
        def leaves():
            tell(double_fork())
            os.kill(os.getpid(), signal.SIGKILL)
        leaves()
        """
    )
    worker.queue("leaves")
    watched = open_pidfds([int(worker.next_signal())])
    assert worker.wait_for("report", task="leaves")["exit"] == "signal 9 (SIGKILL)"
    assert all_ended(watched, 1.0)


def test_a_folder_that_cannot_hold_logs_does_not_change_the_outcome(worker: Harness) -> None:
    (worker.logs / "flow").write_text("a file in the place of the folder")
    worker.write_dag("@task\ndef prints():\n    print('lost')\n    return 1\nprints()")
    assert worker.run("prints")["kind"] == "success"
    worker.process.terminate()
    code, errors = worker.end()
    assert (code, errors.count("runs without a log")) == (0, 1)
