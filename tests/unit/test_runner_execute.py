"""One attempt: whatever user code does becomes an outcome."""

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orch import DAG, BaseOperator, Fail, PythonOperator, Skip, get_current_context, task
from orch.failpoints import Failpoints
from orch.runner.command import TaskCommand
from orch.runner.context import ContextError
from orch.runner.execute import run_attempt
from orch.runner.outcome import Outcome

AT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


class Supervisor:
    """Answers a task process from a dict, and remembers the questions."""

    def __init__(self, stored: Mapping[tuple[str, str], str] | None = None) -> None:
        self.stored = dict(stored or {})
        self.questions: list[dict[str, Any]] = []

    def request(self, message: dict[str, Any]) -> dict[str, Any]:
        self.questions.append(message)
        return {"value": self.stored.get((message["task_id"], message["key"]))}


class Recorder(BaseOperator):
    """Records what is called, and does in `execute` what it is told to."""

    def __init__(self, *, work: Callable[[], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.work = work
        self.calls: list[str] = []

    def pre_execute(self, context: Mapping[str, Any]) -> None:
        self.calls.append("pre_execute")

    def execute(self, context: Mapping[str, Any]) -> Any:
        self.calls.append("execute")
        return self.work()

    def post_execute(self, context: Mapping[str, Any], result: Any = None) -> None:
        self.calls.append(f"post_execute({result!r})")

    def on_kill(self) -> None:
        self.calls.append("on_kill")


def command(task_id: str = "work", **fields: Any) -> TaskCommand:
    places = {"dag_file": "/dags/x.py", "dags_folder": "/dags"}
    fields = {"run_id": "r1", "logical_date": AT, "try_number": 2, "max_tries": 3, **places, **fields}
    return TaskCommand(ti_id=1, epoch=4, nonce="n", dag_id="x", task_id=task_id, **fields)


def run(operator: BaseOperator, channel: Supervisor | None = None, **fields: Any) -> Outcome:
    return run_attempt(command(operator.task_id, **fields), operator, channel or Supervisor(), Failpoints())


def python(work: Callable[..., Any], **options: Any) -> PythonOperator:
    return PythonOperator(task_id="work", python_callable=work, dag=DAG("x"), **options)


def interrupted(seconds: float = 30) -> None:
    """Wait for something that never happens; a signal wakes it."""
    threading.Event().wait(seconds)


def test_a_result_becomes_an_xcom() -> None:
    outcome = run(python(lambda: {"rows": (1, 2)}))
    assert (outcome.kind, outcome.xcoms) == ("success", (("return_value", '{"rows":[1,2]}'),))
    assert (outcome.error, outcome.traceback, outcome.reason) == (None, None, None)


def test_no_result_is_no_xcom() -> None:
    assert run(python(lambda: None)).xcoms == ()
    assert run(python(lambda: 5, do_xcom_push=False)).xcoms == ()


def test_the_steps_of_an_operator_are_called_in_order() -> None:
    operator = Recorder(task_id="work", work=lambda: 7)
    run(operator)
    assert operator.calls == ["pre_execute", "execute", "post_execute(7)"]


def test_the_stamps_are_around_user_code() -> None:
    ticks = iter(AT + timedelta(seconds=n) for n in range(10))
    seen: list[datetime] = []
    operator = python(lambda: seen.append(next(ticks)))
    outcome = run_attempt(command(), operator, Supervisor(), Failpoints(), clock=lambda: next(ticks))
    assert (outcome.started_at, seen[0], outcome.ended_at) == tuple(
        AT + timedelta(seconds=n) for n in range(3)
    )


def test_a_clock_that_steps_back_does_not_end_a_task_before_its_start() -> None:
    moments = iter([AT, AT - timedelta(hours=1)])
    outcome = run_attempt(command(), python(list), Supervisor(), Failpoints(), clock=lambda: next(moments))
    assert outcome.started_at == outcome.ended_at == AT


def test_an_error_fails_with_the_traceback_of_user_code_alone() -> None:
    def divide() -> float:
        return 1 / 0

    outcome = run(python(divide))
    assert (outcome.kind, outcome.retryable, outcome.reason) == ("failed", True, None)
    assert outcome.error == "ZeroDivisionError: division by zero"
    assert outcome.traceback is not None
    frames = [line for line in outcome.traceback.splitlines() if line.startswith("  File")]
    assert len(frames) == 1
    assert "in divide" in frames[0]


def test_skip_and_fail_steer_the_outcome() -> None:
    def raising(error: Exception) -> Outcome:
        def work() -> None:
            raise error

        return run(python(work))

    skipped, failed = raising(Skip("nothing to do")), raising(Fail("no such column"))
    assert (skipped.kind, skipped.error, skipped.reason) == ("skipped", "nothing to do", "skipped_by_task")
    assert (failed.kind, failed.error, failed.retryable) == ("failed", "no such column", False)
    assert failed.reason == "failed_for_good"


@pytest.mark.parametrize("error", [SystemExit(0), SystemExit("bye"), KeyboardInterrupt(), GeneratorExit()])
def test_nothing_raised_by_user_code_passes(error: BaseException) -> None:
    def work() -> None:
        raise error

    outcome = run(python(work))
    assert (outcome.kind, outcome.retryable) == ("failed", True)
    assert outcome.traceback is not None
    assert type(error).__name__ in outcome.traceback


def test_sys_exit_is_named() -> None:
    outcome = run(python(lambda: sys.exit(3)))
    assert outcome.error == "the task ended the interpreter with sys.exit(3); return, or raise Fail, instead"


def test_an_error_that_cannot_be_shown_is_still_a_failure() -> None:
    class Hostile(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    def work() -> None:
        raise Hostile

    assert run(python(work)).error == "Hostile: (its message cannot be shown)"


def test_odd_characters_in_an_error_are_made_storable() -> None:
    def work() -> None:
        raise ValueError("a\0b \ud800\nsecond line " + "x" * 1000)

    outcome = run(python(work))
    assert outcome.error is not None
    assert outcome.error.startswith("ValueError: a\\x00b \\ud800 second line xxx")
    assert len(outcome.error) == 500
    assert outcome == Outcome.from_json(outcome.to_json())
    outcome.to_json().encode()


def test_a_huge_traceback_is_shortened() -> None:
    def work() -> None:
        raise ValueError("x" * 1_000_000)

    text = run(python(work)).traceback
    assert text is not None
    assert len(text) < 51_000
    assert "characters left out" in text


def test_endless_recursion_is_a_failure() -> None:
    def work() -> None:
        work()

    assert (run(python(work)).error or "").startswith("RecursionError")


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), "\ud800", "x" * 2000])
def test_a_result_that_cannot_be_stored_fails_for_good(value: Any) -> None:
    outcome = run(python(lambda: value), xcom_max_bytes=1000)
    assert (outcome.kind, outcome.retryable, outcome.reason) == ("failed", False, "xcom_refused")
    assert (outcome.error or "").startswith("XCom 'return_value' of task 'work' h")
    assert outcome.xcoms == ()


def test_inputs_come_with_the_command_and_are_not_asked_for() -> None:
    with DAG("x") as made:
        first = task(task_id="first")(lambda: 1)()
        task(task_id="work")(lambda rows, one: [*rows, one])(rows=first, one=2)
    channel = Supervisor()
    outcome = run(made.get_task("work"), channel, inputs=(("first", "return_value", -1, "[1]"),))
    assert outcome.xcoms == (("return_value", "[1,2]"),)
    assert channel.questions == []


def test_inputs_that_did_not_come_are_asked_for() -> None:
    with DAG("x") as made:
        task(task_id="work")(lambda n: n + 1)(task(task_id="first")(lambda: 1)())
    channel = Supervisor({("first", "return_value"): "41"})
    assert run(made.get_task("work"), channel).xcoms == (("return_value", "42"),)
    assert channel.questions == [
        {"op": "xcom_get", "task_id": "first", "key": "return_value", "map_index": -1}
    ]


def test_inputs_that_were_left_out_are_asked_for() -> None:
    with DAG("x") as made:
        task(task_id="work")(lambda n: n + 1)(task(task_id="first")(lambda: 1)())
    channel = Supervisor({("first", "return_value"): "41"})
    inputs = (("first", "return_value", -1, None),)
    outcome = run(made.get_task("work"), channel, inputs=inputs, inputs_left_out=True)
    assert outcome.xcoms == (("return_value", "42"),)
    assert len(channel.questions) == 1


def test_a_task_without_result_hands_over_none() -> None:
    with DAG("x") as made:
        task(task_id="work")(lambda n: repr(n))(task(task_id="first")(lambda: None)())
    outcome = run(made.get_task("work"), inputs=(("first", "return_value", -1, None),))
    assert outcome.xcoms == (("return_value", '"None"'),)


def test_the_task_of_the_dag_file_stays_as_it_is() -> None:
    with DAG("x") as made:
        task(task_id="work")(lambda n: n)(task(task_id="first")(lambda: 1)())
    operator = made.get_task("work")
    before = dict(vars(operator))
    run(operator, inputs=(("first", "return_value", -1, "1"),))
    assert vars(operator) == before


def test_a_supervisor_that_is_gone_is_a_failure_worth_a_retry() -> None:
    class Gone(Supervisor):
        def request(self, message: dict[str, Any]) -> dict[str, Any]:
            raise ConnectionError("the supervisor is gone")

    with DAG("x") as made:
        task(task_id="work")(lambda n: n)(task(task_id="first")(lambda: 1)())
    outcome = run(made.get_task("work"), Gone())
    assert (outcome.error, outcome.retryable) == ("ConnectionError: the supervisor is gone", True)


def test_pushed_values_go_out_with_the_outcome_even_of_a_failure() -> None:
    def work(ti: Any) -> None:
        rows = [1]
        ti.xcom_push("rows", rows)
        rows.append(2)
        ti.xcom_push("size", 1)
        ti.xcom_push("size", 2)
        assert ti.xcom_pull(key="rows") == [1]
        raise ValueError("after the push")

    outcome = run(python(work))
    assert (outcome.kind, outcome.xcoms) == ("failed", (("rows", "[1]"), ("size", "2")))


def test_pull_reads_what_others_handed_over() -> None:
    def work(ti: Any) -> list[Any]:
        return [ti.xcom_pull("a"), ti.xcom_pull(["a", "b"]), ti.xcom_pull("b", key="k", default="none")]

    with DAG("x") as made:
        python_ = {name: PythonOperator(task_id=name, python_callable=work) for name in ("a", "b", "work")}
    assert made.task_ids == list(python_)
    channel = Supervisor({("a", "return_value"): "1"})
    assert run(python_["work"], channel).xcoms == (("return_value", '[1,[1,null],"none"]'),)


def test_pulling_from_an_unknown_task_names_the_nearest() -> None:
    outcome = run(python(lambda ti: ti.xcom_pull("wrok")))
    assert outcome.error == (
        "task 'work' asks for the XCom 'return_value' of task 'wrok', which DAG 'x' does not have; "
        "did you mean 'work'?"
    )


def test_the_context_is_there_during_user_code_only() -> None:
    seen: list[Any] = []
    run(python(lambda: seen.append(get_current_context()["ti"].try_number)))
    assert seen == [2]
    with pytest.raises(ContextError, match="no task is running here"):
        get_current_context()


def test_a_timeout_interrupts_user_code_and_calls_on_kill() -> None:
    operator = Recorder(task_id="work", work=interrupted)
    outcome = run(operator, execution_timeout_seconds=0.05)
    assert (outcome.kind, outcome.retryable, outcome.reason) == ("failed", True, "execution_timeout")
    assert outcome.error == "it ran longer than its execution_timeout of 0.05 s"
    assert outcome.traceback is None
    assert operator.calls == ["pre_execute", "execute", "on_kill"]


def test_user_code_that_catches_every_exception_does_not_catch_the_timeout() -> None:
    caught: list[Exception] = []

    def careless() -> None:
        try:
            interrupted()
        except Exception as error:
            caught.append(error)

    assert run(python(careless), execution_timeout_seconds=0.05).reason == "execution_timeout"
    assert caught == []


def test_swallowing_the_timeout_does_not_make_a_success() -> None:
    def stubborn() -> str:
        try:
            interrupted()
        except BaseException:  # the mistake under test
            return "done"
        return "never"

    outcome = run(python(stubborn), execution_timeout_seconds=0.05)
    assert (outcome.kind, outcome.reason, outcome.traceback) == ("failed", "execution_timeout", None)


def test_a_task_within_its_time_is_not_interrupted_later() -> None:
    run(python(lambda: 1), execution_timeout_seconds=0.05)
    interrupted(0.1)


def test_sigterm_interrupts_user_code_and_calls_on_kill() -> None:
    def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        interrupted()

    operator = Recorder(task_id="work", work=work)
    outcome = run(operator)
    assert (outcome.kind, outcome.retryable, outcome.reason) == ("failed", True, "killed")
    assert operator.calls[-1] == "on_kill"


def test_a_broken_on_kill_does_not_hide_the_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Recorder):
        def on_kill(self) -> None:
            raise RuntimeError("on_kill broke")

    outcome = run(Broken(task_id="work", work=interrupted), execution_timeout_seconds=0.05)
    assert outcome.reason == "execution_timeout"
    assert "on_kill broke" in capsys.readouterr().err


def test_signal_handlers_and_timer_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)]
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    run(python(lambda: 1), execution_timeout_seconds=500)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)] == before
    assert signal.getitimer(signal.ITIMER_REAL)[0] <= left


def test_an_attempt_in_another_thread_runs_without_signals() -> None:
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(run(python(lambda: 1))))
    thread.start()
    thread.join()
    assert outcomes[0].kind == "success"


def test_a_closed_stdout_does_not_lose_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
    assert run(python(lambda: sys.stdout.close())).kind == "success"


@pytest.mark.parametrize("name", ["task.before_user_code", "task.after_user_code"])
def test_a_failpoint_around_user_code_fails_the_attempt(name: str) -> None:
    outcome = run_attempt(command(), python(lambda: 1), Supervisor(), Failpoints({name: "error"}))
    assert outcome.error == f"FailpointError: failpoint {name}"
