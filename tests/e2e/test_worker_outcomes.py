"""A worker runs tasks in real processes and reports each outcome once, with its log."""

import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.worker_harness import Harness, all_ended, is_alive, open_pidfds

from orch.worker.host_pool import WARM

pytestmark = pytest.mark.e2e


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Harness]:
    harness = Harness(tmp_path)
    yield harness
    harness.close()


def test_a_task_succeeds_with_its_result_and_its_output(worker: Harness) -> None:
    worker.write_dag(
        """
        @task
        def hello():
            print("to stdout")
            print("to stderr", file=sys.stderr)
            return {"answer": 42}
        hello()
        """
    )
    report = worker.run("hello")
    assert (report["kind"], report["answer"], report["exit"]) == ("success", "accepted", None)
    assert report["xcoms"] == [["return_value", '{"answer":42}']]
    assert {(line.stream, line.text) for line in worker.log(report)} == {
        ("stdout", "to stdout"),
        ("stderr", "to stderr"),
    }
    assert worker.log_end(report) == "success"
    assert report["log"] == "flow/manual__1/hello.try-1.epoch-1.jsonl"


def test_a_failure_leaves_its_traceback_in_the_log(worker: Harness) -> None:
    worker.write_dag(
        """
        @task
        def breaks():
            raise ValueError("no such city")
        breaks()
        """
    )
    report = worker.run("breaks")
    assert (report["kind"], report["retryable"]) == ("failed", True)
    assert "no such city" in report["error"]
    assert 'raise ValueError("no such city")' in worker.log_text(report, "orch")
    assert worker.log_end(report) == "failed"


def test_skip_and_fail_are_told_apart(worker: Harness) -> None:
    worker.write_dag(
        """
        @task
        def skips():
            raise Skip("not today")
        @task
        def gives_up():
            raise Fail("bad data")
        skips(), gives_up()
        """
    )
    assert worker.run("skips")["kind"] == "skipped"
    report = worker.run("gives_up")
    assert (report["kind"], report["retryable"]) == ("failed", False)


def test_results_of_other_tasks_come_with_the_command_or_on_request(worker: Harness) -> None:
    worker.write_dag(
        """
        @task
        def first():
            return 1
        @task
        def second(value, ti):
            return [value, ti.xcom_pull(task_ids="first", key="other")]
        second(first())
        """
    )
    worker.order(xcoms={"first.other": '"asked for"'})
    report = worker.run("second", inputs=[("first", "return_value", -1, '"' + "x" * 50 + '"')])
    assert report["xcoms"] == [["return_value", f'["{"x" * 50}","asked for"]']]


def test_megabytes_travel_both_ways(worker: Harness) -> None:
    worker.write_dag(
        """
        @task
        def first():
            pass
        @task
        def doubles(text):
            return text + text
        doubles(first())
        """
    )
    large = "ab" * 250_000
    report = worker.run("doubles", inputs=[("first", "return_value", -1, f'"{large}"')])
    assert report["kind"] == "success"
    assert len(report["xcoms"][0][1]) == 100


def test_inputs_that_were_left_out_are_asked_for_one_by_one(worker: Harness) -> None:
    worker.write_dag(
        """
        @task
        def part(letter):
            pass
        @task
        def joins(parts):
            return [len(part) for part in parts], "".join(part[0] for part in parts)
        joins([part.override(task_id=letter)(letter) for letter in "abcd"])
        """
    )
    large = {letter: letter + "\xe9" * 524_286 + "\\" for letter in "abcd"}
    worker.order(xcoms={f"{name}.return_value": json.dumps(text) for name, text in large.items()})
    inputs = [(letter, "return_value", -1, None) for letter in large]
    report = worker.run("joins", inputs=inputs, inputs_left_out=True)
    assert report["xcoms"] == [["return_value", '[[524288,524288,524288,524288],"abcd"]']]


def test_a_task_that_has_left_the_file_fails_by_name(worker: Harness) -> None:
    worker.write_dag("@task\ndef other():\n    pass\nother()")
    report = worker.run("gone")
    assert (report["kind"], report["reason"]) == ("failed", "dag_import_failed")
    assert "'gone'" in report["error"]


@pytest.mark.parametrize(
    ("text", "in_error", "in_log"),
    [
        ("def broken(:\n    pass\n", "SyntaxError", "def broken(:"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3", "sys.exit(3)"),
        ("import os\nos._exit(4)\n", "exit code 4", "exit code 4"),
        ("import os, signal\nos.kill(os.getpid(), 11)\n", "signal 11 (SIGSEGV)", "SIGSEGV"),
    ],
)
def test_a_dag_file_that_breaks_fails_the_attempt(
    worker: Harness, text: str, in_error: str, in_log: str
) -> None:
    (worker.dags / "flow.py").write_text(text)
    report = worker.run("any")
    assert (report["kind"], report["reason"], report["retryable"]) == ("failed", "dag_import_failed", True)
    assert in_error in report["error"]
    assert in_log in worker.log_text(report, "orch")


def test_the_file_is_imported_once_for_many_tasks(worker: Harness) -> None:
    worker.write_dag("tell('imported', os.getpid())\n@task\ndef host():\n    return os.getppid()\nhost()")
    hosts = {worker.run("host")["xcoms"][0][1] for _ in range(3)}
    imported = worker.next_signal()
    worker.write_dag("tell('changed', os.getpid())\n@task\ndef host():\n    return os.getppid()\nhost()")
    changed = worker.run("host")["xcoms"][0][1]
    assert [f"imported {pid}" for pid in hosts] == [imported]
    assert worker.next_signal() == f"changed {changed}"


def test_each_forked_task_has_a_process_of_its_own(worker: Harness) -> None:
    worker.write_dag("@task\ndef who():\n    return [os.getpid(), os.getsid(0), os.getpgid(0)]\nwho()")
    answers = [worker.run("who", isolation="fork")["xcoms"][0][1] for _ in range(3)]
    assert len(set(answers)) == 3
    assert all(len(set(answer.strip("[]").split(","))) == 1 for answer in answers)


def test_an_import_that_starts_threads_gets_fresh_interpreters(worker: Harness) -> None:
    worker.write_dag(
        """
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        @task
        def threads():
            print("from a fresh interpreter")
            return [threading.active_count(), "--tray" in sys.orig_argv]
        threads()
        """
    )
    report = worker.run("threads")
    assert report["xcoms"] == [["return_value", "[2,true]"]]
    assert worker.log_text(report) == "from a fresh interpreter"
    assert worker.run("threads")["kind"] == "success"


def test_the_address_of_the_database_is_kept_from_tasks(tmp_path: Path) -> None:
    harness = Harness(
        tmp_path, environ={"ORCH_DATABASE_URL": "secret", "ORCH_HOME": "/home", "OTHER": "kept"}
    )
    try:
        harness.write_dag(
            """
            @task
            def see():
                return sorted(name for name in os.environ if name.startswith(("ORCH", "OTHER")))
            see()
            """
        )
        assert harness.run("see")["xcoms"] == [["return_value", '["ORCH_HOME","OTHER"]']]
    finally:
        harness.close()


def test_a_task_has_an_empty_stdin_its_pipes_and_its_channel(worker: Harness) -> None:
    worker.write_dag(
        """
        @task
        def look():
            names = [os.readlink(f"/proc/self/fd/{fd}").split(":")[0] for fd in (0, 1, 2)]
            others = [fd for fd in range(3, 64) if os.path.exists(f"/proc/self/fd/{fd}")]
            kinds = [os.readlink(f"/proc/self/fd/{fd}").split(":")[0] for fd in others]
            return [sys.stdin.read(), names, kinds]
        look()
        """
    )
    found = '["",["/dev/null","pipe","pipe"],["socket","socket"]]'
    assert worker.run("look")["xcoms"] == [["return_value", found]]


def test_tasks_run_beside_each_other_up_to_the_parallelism(worker: Harness) -> None:
    worker.write_dag(
        """
        @task
        def waits():
            wait_for_ever()
        waits()
        """
    )
    worker.queue(*["waits"] * 6)
    pids = [int(worker.next_signal()) for _ in range(4)]
    assert len(set(pids)) == 4
    assert worker.wait_for("claim")["limit"] == 4


def test_a_task_past_its_timeout_is_ended(worker: Harness) -> None:
    worker.write_dag("@task\ndef waits():\n    wait_for_ever()\nwaits()")
    report = worker.run("waits", timeout=0.2)
    assert (report["kind"], report["reason"], report["exit"]) == ("failed", "execution_timeout", None)


def test_a_stopped_task_past_its_timeout_is_ended(worker: Harness) -> None:
    worker.write_dag("@task\ndef stops():\n    os.kill(os.getpid(), signal.SIGSTOP)\nstops()")
    report = worker.run("stops", timeout=0.1)
    assert (report["kind"], report["reason"]) == ("failed", "execution_timeout")
    assert report["exit"] == "signal 9 (SIGKILL)"
    assert "execution_timeout of 0.1 s" in worker.log_text(report, "orch")


def test_a_worker_without_descriptors_hands_back_and_goes_on(tmp_path: Path) -> None:
    worker = Harness(tmp_path, parallelism=50)
    try:
        worker.write_dag(
            """
            @task
            def waits():
                wait_for_ever()
            @task
            def quick():
                return 1
            waits(), quick()
            """
        )
        worker.run("quick")
        resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (48, 48))
        worker.queue(*["waits"] * 20)
        returned = worker.wait_for("hand_back")["tasks"]
        assert 0 < len(returned) < 20
        os.kill(int(worker.next_signal()), signal.SIGKILL)
        os.kill(int(worker.next_signal()), signal.SIGKILL)
        assert worker.run("quick")["kind"] == "success"
    finally:
        worker.close()


def test_a_report_is_repeated_until_the_store_takes_it(worker: Harness) -> None:
    worker.write_dag("@task\ndef quick():\n    return 1\nquick()")
    worker.order(errors=["report", "report", "heartbeat"])
    report = worker.run("quick")
    assert (report["kind"], report["answer"]) == ("success", "accepted")
    assert len(worker.events("failed")) >= 2


def test_a_question_is_answered_when_the_store_is_back(worker: Harness) -> None:
    worker.write_dag("@task\ndef asks(ti):\n    return ti.xcom_pull(task_ids='asks', key='known')\nasks()")
    worker.order(errors=["xcom"], xcoms={"asks.known": "7"})
    assert worker.run("asks")["xcoms"] == [["return_value", "7"]]


def test_one_report_that_cannot_be_stored_does_not_hold_up_others(worker: Harness) -> None:
    worker.write_dag("@task\ndef cursed():\n    return 1\n@task\ndef fine():\n    return 1\ncursed(), fine()")
    worker.order(cursed=["cursed"])
    worker.queue("cursed", "fine")
    assert worker.wait_for("report", task="fine")["kind"] == "success"
    report = worker.wait_for("report", task="cursed")
    assert (report["kind"], report["reason"], report["xcoms"]) == ("failed", "xcom_refused", [])


def test_an_attempt_goes_on_while_its_file_changes(worker: Harness) -> None:
    waits = "@task\ndef waits():\n    wait_for_ever()\n"
    body = waits + "@task\ndef quick():\n    return {}\nwaits(), quick()"
    worker.write_dag(body.format(1))
    worker.queue("waits")
    task = int(worker.next_signal())
    (old_host,) = worker.children()
    watched = open_pidfds([old_host])
    worker.write_dag(body.format("'changed'"))
    assert worker.run("quick")["xcoms"] == [["return_value", '"changed"']]
    assert is_alive(task)
    assert len(worker.children()) == 2
    os.kill(task, signal.SIGKILL)
    worker.wait_for("report", task="waits")
    assert all_ended(watched, 5.0)


def test_a_deleted_file_does_not_stop_what_its_host_serves(worker: Harness) -> None:
    worker.write_dag("@task\ndef quick():\n    return 1\nquick()")
    worker.run("quick")
    (worker.dags / "flow.py").unlink()
    assert worker.run("quick")["kind"] == "success"


def test_only_the_hosts_used_last_are_kept(worker: Harness) -> None:
    for number in range(WARM + 3):
        worker.write_dag("@task\ndef quick():\n    return 1\nquick()", file=f"flow{number}.py")
        assert worker.run("quick", dag_file=f"flow{number}.py")["kind"] == "success"
    assert len([pid for pid in worker.children() if is_alive(pid)]) <= WARM + 1
