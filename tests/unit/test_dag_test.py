"""`DAG.test()`: a DAG run in this process, its result, its output, its limits, and what it leaves behind."""

import subprocess
import sys
import threading
from datetime import UTC, datetime
from threading import Barrier, Event
from time import monotonic
from typing import Any

import pytest

from orch import DAG, BaseOperator, Fail, PythonOperator, Skip, get_current_context, task
from orch.authoring.callables import CONTEXT_KEYS
from orch.authoring.collect import collecting
from orch.authoring.run_result import RunFailed, RunResult
from orch.domain.states import RunState, TaskState
from orch.errors import BadInput, DagDefinitionError, NotFound
from orch.inprocess.decider import Decider
from orch.inprocess.execution import Execution
from orch.inprocess.invariants import find_broken
from orch.inprocess.performer import Performer, RunFacts
from orch.inprocess.run_clock import RunClock
from orch.inprocess.runner import Options, Runner, Stalled
from orch.inprocess.streams import TaskStreams
from orch_standard import BashOperator, EmptyOperator


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


@pytest.fixture(params=[1, 4])
def parallelism(request):
    return request.param


def numbers() -> DAG:
    @task
    def three() -> int:
        return 3

    @task
    def double(number: int) -> int:
        return 2 * number

    with DAG("numbers") as dag:
        double(double(three()))
    return dag


def test_a_dag_runs_to_its_end_and_hands_values_on(parallelism):
    result = numbers().test(parallelism=parallelism)
    assert result.state is RunState.SUCCESS
    assert result.results == {"three": 3, "double": 6, "double__1": 12}
    assert result.raise_for_state() is result
    assert [change.seq for change in result.history] == list(range(1, 13))


def test_every_kind_of_operator_runs(parallelism):
    class Greet(BaseOperator):
        template_fields = ("name",)

        def __init__(self, *, name, **kwargs):
            super().__init__(**kwargs)
            self.name = name

        def execute(self, context):
            return f"Hello {self.name}"

    with DAG("kinds") as dag:
        said = BashOperator(task_id="said", bash_command="echo $ORCH_TASK_ID")
        greet = Greet(task_id="greet", name=said.output)
        joined = PythonOperator(
            task_id="joined", python_callable=lambda text: text + "!", op_args=[greet.output]
        )
        joined >> EmptyOperator(task_id="end")
    assert dag.test(parallelism=parallelism).raise_for_state().results == {
        "said": "said",
        "greet": "Hello said",
        "joined": "Hello said!",
    }


def test_the_context_is_that_of_the_engine(parallelism):
    seen: dict[str, Any] = {}

    @task
    def look(ti=None, **context):
        seen.update(context, ti=ti)
        assert get_current_context()["ti"] is ti

    with DAG("context", timezone="Europe/Berlin") as dag:
        look()
    dag.test(
        datetime(2024, 5, 2), datetime(2024, 5, 1), {"place": "Rome"}, parallelism=parallelism
    ).raise_for_state()
    assert set(seen) == CONTEXT_KEYS
    assert seen["ds"] == "2024-04-30"  # a date without a zone is read in that of the DAG
    assert seen["run_after"] == datetime(2024, 5, 1, 22, tzinfo=UTC)
    assert (seen["conf"], seen["params"], seen["dag"]) == ({"place": "Rome"}, {}, dag)
    assert seen["run"].run_type == "manual"
    assert seen["data_interval_start"] == seen["data_interval_end"] == seen["logical_date"]


def test_without_a_logical_date_there_is_none():
    @task
    def look(logical_date, ds=None):
        assert (logical_date, ds) == (None, None)

    with DAG("dateless") as dag:
        look()
    dag.test().raise_for_state()


def test_a_failure_has_its_traceback_and_goes_downstream(parallelism, capsys):
    @task
    def breaks():
        raise ValueError("boom")

    @task
    def after(_x):
        pass

    with DAG("breaks") as dag:
        after(breaks())
    result = dag.test(parallelism=parallelism)
    assert result.states == {"breaks": "failed", "after": "upstream_failed"}
    assert result.errors["breaks"].message == "ValueError: boom"
    with pytest.raises(RunFailed, match=r"(?s)breaks: failed, after: upstream_failed.*raise ValueError"):
        result.raise_for_state()
    assert 'raise ValueError("boom")' in capsys.readouterr().err


def test_skip_and_fail_end_a_task_without_another_try(parallelism):
    @task(retries=3)
    def skips():
        raise Skip("no")

    @task(retries=3)
    def fails():
        raise Fail("never")

    with DAG("signals") as dag:
        skips()
        fails()
    result = dag.test(parallelism=parallelism)
    assert result.states == {"skips": "skipped", "fails": "failed"}
    assert result.tries("fails") == result.tries("skips") == 1


def flaky(delay: float) -> DAG:
    @task(retries=2, retry_delay=delay)
    def flaky(ti=None):
        if ti.try_number < 3:
            raise OSError(f"try {ti.try_number}")
        return ti.try_number

    with DAG("flaky") as dag:
        flaky()
    return dag


def test_retries_wait_for_their_delay(parallelism):
    result = flaky(0.05).test(parallelism=parallelism).raise_for_state()
    assert result.results == {"flaky": 3}
    assert [failure.message for failure in result.failures] == ["OSError: try 1", "OSError: try 2"]
    waits = [each for each in result.history if each.new in ("up_for_retry", "scheduled")][1:]
    for failed, again in zip(waits[::2], waits[1::2], strict=True):
        assert (again.at - failed.at).total_seconds() >= 0.05


def test_retry_delays_can_be_leapt_over(parallelism):
    result = flaky(3600).test(parallelism=parallelism, wait_for_retries=False).raise_for_state()
    assert (result.history[-1].at - result.history[0].at).total_seconds() >= 7200


def test_parallel_tasks_really_run_at_once():
    together = Barrier(3)

    @task
    def meet(ti=None):
        together.wait(10)
        return threading.current_thread().name

    with DAG("meet") as dag:
        for _ in range(3):
            meet()
    threads = set(dag.test(parallelism=3).raise_for_state().results.values())
    assert len(threads) == 3
    assert threading.current_thread().name not in threads


def test_alone_every_task_runs_in_the_calling_thread():
    @task
    def here():
        return threading.current_thread().name

    with DAG("here") as dag:
        here()
    assert dag.test().results == {"here": threading.current_thread().name}


@pytest.mark.parametrize("limit", ["max_active_tasks", "pool", "task"])
def test_limits_hold(limit):
    @task(**({"pool": "db", "pool_slots": 2} if limit == "pool" else {}))
    def work():
        return None

    with DAG("limits", max_active_tasks=2 if limit == "max_active_tasks" else None) as dag:
        for _ in range(12):
            work()
    result = dag.test(parallelism=6, pools={"db": 4, "default": 3}).raise_for_state()
    open_now = most = 0
    for change in result.history:
        open_now += (change.new in ("queued", "running")) - (change.old in ("queued", "running"))
        most = max(most, open_now)
    assert most == {"max_active_tasks": 2, "pool": 2, "task": 3}[limit]


def test_a_pool_that_is_too_small_for_a_task_is_refused():
    @task(pool="db", pool_slots=3)
    def wide(): ...

    with DAG("wide") as dag:
        wide()
    with pytest.raises(BadInput, match="takes 3 of the 2 slots of pool 'db'"):
        dag.test(pools={"db": 2})


def test_a_task_whose_dag_has_no_room_at_all_is_named(monkeypatch):
    with DAG("stalled") as dag:
        EmptyOperator(task_id="waits")
    monkeypatch.setattr(Decider, "step", lambda self: None)
    with pytest.raises(Stalled, match="waits"):
        dag.test()


def slow(release: Event, limit: float = 0.05) -> DAG:
    @task(execution_timeout=limit)
    def slow():
        release.wait(30)
        return "too late"

    @task(trigger_rule="all_done")
    def after(value):
        release.set()
        return value

    with DAG("slow") as dag:
        after(slow())
    return dag


def test_a_task_that_takes_too_long_is_recorded_so_and_its_late_result_refused(capsys):
    result = slow(Event()).test(parallelism=2)
    assert result.states == {"slow": "failed", "after": "success"}
    assert result.results == {}
    assert result.errors["slow"].message == "it ran longer than its execution_timeout of 0.05 s"
    assert result.stuck == ()  # it ended by itself when `after` let it go
    assert "its thread cannot be killed" in capsys.readouterr().err


def test_in_the_main_thread_a_timeout_interrupts():
    result = slow(Event()).test()
    assert result.states == {"slow": "failed", "after": "success"}


def test_outside_of_the_main_thread_a_late_result_is_refused_when_it_comes():
    release = Event()
    threading.Timer(0.2, release.set).start()
    results = []
    thread = threading.Thread(target=lambda: results.append(slow(release).test()))
    thread.start()
    thread.join(20)
    assert results[0].states == {"slow": "failed", "after": "success"}


def test_a_thread_that_never_ends_is_named(monkeypatch, capsys):
    release = Event()
    monkeypatch.setattr(Options, "__init__", _with(Options, grace_seconds=0.05))

    @task(execution_timeout=0.05)
    def endless():
        release.wait(30)

    with DAG("endless") as dag:
        endless()
    result = dag.test(parallelism=2)
    assert result.stuck == ("endless",)
    assert "still runs task 'endless'" in capsys.readouterr().err
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("orch-"):
            thread.join(10)


def _with(kind, **fixed):
    original = kind.__init__
    return lambda self, *args, **values: original(self, *args, **{**values, **fixed})


def test_a_command_that_takes_too_long_is_ended():
    with DAG("command") as dag:
        BashOperator(task_id="sleep", bash_command="sleep 60", execution_timeout=0.2)
    result = dag.test(parallelism=2)
    assert result.states == {"sleep": "failed"}
    assert result.stuck == ()


def test_lines_of_parallel_tasks_are_whole_and_named(capsys):
    together = Barrier(4)

    @task
    def talk(word):
        together.wait(10)
        for _ in range(200):
            for letter in word:
                print(letter, end="")
            print()
        print("unfinished", end="")

    with DAG("talk") as dag:
        for word in ("aaaaaa", "bbbbbb", "cccccc", "dddddd"):
            talk.override(task_id=word)(word)
    dag.test(parallelism=4).raise_for_state()
    lines = capsys.readouterr().out.splitlines()
    assert sorted(set(lines[:-1])) == sorted(
        f"{word} | {line}"
        for word in ("aaaaaa", "bbbbbb", "cccccc", "dddddd")
        for line in (word, "unfinished")
    )
    assert lines[-1] == "-- DAG talk: success (4 success)"


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_runs_that_overlap_give_the_streams_back_in_any_order(first_to_end, capsys):
    before = (sys.stdout, sys.stderr)
    begun, release = [Event(), Event()], [Event(), Event()]

    def play(number: int) -> None:
        @task(task_id=f"t{number}")
        def work():
            begun[number].set()
            release[number].wait(30)
            print("done")

        with DAG(f"d{number}") as dag:
            work()
        dag.test(parallelism=2)

    threads = [threading.Thread(target=play, args=(number,)) for number in (0, 1)]
    for thread, event in zip(threads, begun, strict=True):
        thread.start()
        assert event.wait(20)
    for number in (first_to_end, 1 - first_to_end):
        release[number].set()
        threads[number].join(20)
    assert (sys.stdout, sys.stderr) == before
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line for line in lines if "done" in line) == ["t0 | done", "t1 | done"]


def test_an_endless_row_of_overlapping_streams_grows_no_chain():
    before = sys.stdout
    last = TaskStreams().__enter__()
    for _ in range(2000):
        following = TaskStreams().__enter__()
        last.__exit__(None, None, None)
        last = following
    assert getattr(sys.stdout, "target", None) is before
    last.__exit__(None, None, None)
    assert sys.stdout is before


def test_alone_the_streams_are_untouched(capsys):
    @task(retries=1)
    def talk():
        print("hello", end="")
        return sys.stdout is stdout

    stdout = sys.stdout
    with DAG("talk") as dag:
        talk()
    assert dag.test().results == {"talk": True}
    assert capsys.readouterr().out == "-- talk (try 1 of 2)\nhello-- DAG talk: success (1 success)\n"


def test_streams_are_put_back(parallelism):
    before = sys.stdout, sys.stderr
    numbers().test(parallelism=parallelism)
    assert (sys.stdout, sys.stderr) == before


def test_events_come_in_order_in_the_calling_thread(parallelism):
    events, threads = [], set()

    def note(change):
        events.append(change)
        threads.add(threading.current_thread())

    result = numbers().test(parallelism=parallelism, on_event=note)
    assert tuple(events) == result.history
    assert threads == {threading.current_thread()}


def test_an_error_of_the_observer_ends_the_run(parallelism):
    def refuse(change):
        if change.new is TaskState.RUNNING:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        numbers().test(parallelism=parallelism, on_event=refuse)


def test_ctrl_c_in_a_task_ends_the_run_when_it_is_alone():
    ran = []

    @task(retries=3)
    def interrupted():
        ran.append(1)
        raise KeyboardInterrupt

    with DAG("interrupted") as dag:
        interrupted()
    with pytest.raises(KeyboardInterrupt):
        dag.test()
    assert ran == [1]


def test_ctrl_c_while_threads_work_takes_their_rights_back():
    begun, release = Event(), Event()

    class Waiting(BaseOperator):
        def execute(self, context):
            begun.set()
            release.wait(30)

        def on_kill(self):
            release.set()

    def interrupt(change):
        if change.new is TaskState.RUNNING:
            begun.wait(10)
            raise KeyboardInterrupt

    with DAG("interrupted") as dag:
        Waiting(task_id="waiting") >> EmptyOperator(task_id="next")

    def make_perform(runner):
        return Performer(dag, RunFacts("r", datetime.now(UTC)), runner.store, runner.clock, TaskStreams())

    runner = Runner(
        dag.to_spec(), Options(parallelism=2, on_event=interrupt), RunClock(), make_perform=make_perform
    )
    with pytest.raises(KeyboardInterrupt):
        runner.run()
    end = runner.store.snapshot()
    assert [row.state for row in end.rows] == ["cancelled", "cancelled"]
    assert find_broken(end) == []


def test_the_debugger_works_in_a_task_and_quit_ends_the_run():
    program = (
        "from orch import DAG, task\n"
        "@task\n"
        "def look():\n"
        "    answer = 42\n"
        "    breakpoint()\n"
        "with DAG('debugged') as dag:\n"
        "    look()\n"
        "dag.test()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input="p answer + 1\nq\n", capture_output=True, text=True, timeout=60
    )
    assert "(Pdb) 43" in done.stdout
    assert "BdbQuit" in done.stderr


def test_tasks_can_be_marked_as_successes():
    @task
    def never():
        raise AssertionError

    with DAG("marked") as dag:
        never.override(task_id="wait_for_file")() >> EmptyOperator(task_id="go")
    result = dag.test(mark_success_pattern="wait_.*").raise_for_state()
    assert result.tries("wait_for_file") == 0


def test_fail_fast_ends_the_rest_and_calls_on_kill():
    begun, release = Event(), Event()

    class Long(BaseOperator):
        def execute(self, context):
            begun.set()
            release.wait(30)

        def on_kill(self):
            release.set()

    @task
    def fails():
        begun.wait(10)
        raise Fail("now")

    with DAG("hasty", fail_fast=True) as dag:
        Long(task_id="long")
        fails() >> EmptyOperator(task_id="later")
    result = dag.test(parallelism=2)
    assert result.states == {"fails": "failed", "later": "skipped", "long": "cancelled"}
    assert result.state is RunState.FAILED


def test_a_run_that_takes_too_long_fails():
    release = Event()

    class Long(BaseOperator):
        def execute(self, context):
            release.wait(30)

        def on_kill(self):
            release.set()

    with DAG("late", dagrun_timeout=0.05) as dag:
        Long(task_id="long") >> EmptyOperator(task_id="later")
    result = dag.test(parallelism=2)
    assert result.states == {"long": "cancelled", "later": "skipped"}
    assert result.state is RunState.FAILED


def outlasting(release: Event, **values: Any) -> DAG:
    @task(**values)
    def long():
        release.wait(30)
        return "too late"

    with DAG("outlasting", dagrun_timeout=0.1) as dag:
        long() >> EmptyOperator(task_id="later")
    return dag


def assert_out_of_time(result: RunResult) -> None:
    assert result.states == {"long": "cancelled", "later": "skipped"}
    assert {change.reason for change in result.history[-2:]} == {"dagrun_timeout"}
    assert (result.state, result.results) == (RunState.FAILED, {})


@pytest.mark.parametrize("values", [{}, {"execution_timeout": 20}, {"retries": 3}])
def test_in_the_main_thread_the_end_of_the_runs_time_interrupts(values, capsys):
    release = Event()
    began = monotonic()
    assert_out_of_time(outlasting(release, **values).test())
    assert monotonic() - began < 15
    said = "long was cancelled: the run took longer than its dagrun_timeout of 0.1 s"
    assert said in capsys.readouterr().err


def test_the_end_of_the_runs_time_calls_on_kill():
    killed = []

    class Long(BaseOperator):
        def execute(self, context):
            Event().wait(30)

        def on_kill(self):
            killed.append(self.task_id)

    with DAG("late", dagrun_timeout=0.05) as dag:
        Long(task_id="long") >> EmptyOperator(task_id="later")
    assert_out_of_time(dag.test())
    assert killed == ["long"]


def test_the_smaller_execution_timeout_comes_before_the_end_of_the_run():
    @task(execution_timeout=0.05)
    def slow():
        Event().wait(30)

    with DAG("both", dagrun_timeout=20) as dag:
        slow()
    result = dag.test()
    assert (result.states, result.history[-1].reason) == ({"slow": "failed"}, "execution_timeout")


def test_outside_of_the_main_thread_a_result_after_the_runs_time_is_refused():
    release = Event()
    timer = threading.Timer(0.3, release.set)
    timer.start()
    results = []
    thread = threading.Thread(target=lambda: results.append(outlasting(release).test()))
    thread.start()
    thread.join(20)
    timer.join(20)
    assert_out_of_time(results[0])


def test_the_last_task_of_a_run_cannot_end_after_its_time():
    release = Event()
    timer = threading.Timer(0.3, release.set)
    timer.start()

    @task
    def only():
        release.wait(30)

    with DAG("last", dagrun_timeout=0.1) as dag:
        only()
    results = []
    thread = threading.Thread(target=lambda: results.append(dag.test()))
    thread.start()
    thread.join(20)
    timer.join(20)
    assert (results[0].state, results[0].states) == (RunState.FAILED, {"only": "cancelled"})


def test_the_first_run_has_no_past():
    with DAG("past") as dag:
        EmptyOperator(task_id="a", depends_on_past=True) >> EmptyOperator(
            task_id="b", wait_for_downstream=True
        )
    dag.test().raise_for_state()


def test_a_test_inside_an_import_is_refused():
    with DAG("guarded") as dag:
        EmptyOperator(task_id="a")
    with collecting(), pytest.raises(DagDefinitionError, match="if __name__ == '__main__'"):
        dag.test()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"parallelism": 0}, "parallelism must be a whole number from 1 up, not 0"),
        ({"parallelism": True}, "not True"),
        ({"pools": {"db": "two"}}, "pool 'db' has 'two' slots"),
        ({"run_conf": [1]}, "run_conf must be a dict"),
        ({"run_conf": {"when": datetime(2024, 1, 1)}}, "run_conf is not plain JSON"),
        ({"logical_date": "2024-01-01"}, "logical_date must be a datetime"),
    ],
)
def test_a_wrong_argument_is_refused_with_a_sentence(arguments, problem):
    with pytest.raises(BadInput, match=problem):
        numbers().test(**arguments)


def test_a_dag_in_a_circle_is_refused():
    with DAG("circle") as dag:
        a, b = EmptyOperator(task_id="a"), EmptyOperator(task_id="b")
        a >> b >> a
    with pytest.raises(BadInput, match="cycle: a -> b -> a"):
        dag.test()


def test_a_result_knows_its_tasks():
    with pytest.raises(NotFound, match="did you mean 'three'"):
        numbers().test().tries("thre")


def test_a_broken_runner_thread_ends_the_run(monkeypatch):
    monkeypatch.setattr(Execution, "report", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        numbers().test(parallelism=2)
