"""BashOperator: output, exit codes, environment, folder, and the end of what it started."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orch import DAG, DagDefinitionError, Fail, Skip
from orch_standard import BashOperator
from orch_standard.bash import CommandFailed
from orch_standard.output import MAX_LINE, Output


def bash(command: Any, **options: Any) -> BashOperator:
    return BashOperator(task_id="shell", bash_command=command, **options)


def run(command: str, **options: Any) -> str | None:
    return bash(command, **options).execute({})


def is_alive(pid: int) -> bool:
    """Return whether the process runs; one that has ended and waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until_gone(pid: int) -> None:
    """Wait for the end of a process that is no child of this one."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with os.fdopen(handle, "rb") as watched:
        assert select.select([watched], [], [], 20)[0]


def test_the_last_line_is_the_result_and_all_goes_to_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("echo one; echo oops >&2; printf 'two  \\n'") == "two"
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("one\ntwo  \n", "oops\n")


@pytest.mark.parametrize(
    ("command", "result"), [("true", ""), ("printf a", "a"), ("printf 'a\\nb'", "b"), ("echo a; echo", "")]
)
def test_the_result_of_short_outputs(command: str, result: str) -> None:
    assert run(command) == result


def test_the_result_can_be_dropped() -> None:
    assert run("echo a", do_xcom_push=False) is None


def test_bash_runs_it_not_sh() -> None:
    assert run("words=(a b c); echo ${#words[@]}") == "3"


def test_an_exit_code_fails_and_is_named() -> None:
    with pytest.raises(CommandFailed, match="the command of task 'shell' ended with exit code 3"):
        run("exit 3")


def test_a_signal_is_named() -> None:
    with pytest.raises(CommandFailed, match=r"task 'shell' was killed by signal 9 \(SIGKILL\)"):
        run("kill -9 $$")
    with pytest.raises(
        CommandFailed, match=r"exit code 139: a program in it was killed by signal 11 \(SIGSEGV\)"
    ):
        run("(kill -11 $BASHPID); exit $?")


@pytest.mark.parametrize(("skipping", "code"), [(99, 99), (7, 7), ([7, 8], 8), ({0}, 0)])
def test_chosen_exit_codes_skip(skipping: Any, code: int) -> None:
    with pytest.raises(Skip, match=f"the command ended with exit code {code}"):
        run(f"exit {code}", skip_on_exit_code=skipping)


def test_no_exit_code_skips_when_none_is_chosen() -> None:
    with pytest.raises(CommandFailed):
        run("exit 99", skip_on_exit_code=None)


def test_the_environment_is_inherited_replaced_or_appended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTER", "outer")
    show = 'echo "$OUTER-$INNER"'
    assert run(show) == "outer-"
    assert run(show, env={"INNER": "inner"}) == "-inner"
    assert run(show, env={"INNER": "inner"}, append_env=True) == "outer-inner"


def test_values_of_env_are_data() -> None:
    hostile = "$(touch /tmp/never); `id`; \"'"
    assert run('echo "$VALUE"', env={"VALUE": hostile}) == hostile
    assert run('echo "$VALUE"', env={"VALUE": {"a": [1, None, "ü"]}}) == '{"a": [1, null, "ü"]}'
    assert run('echo "$VALUE"', env={"VALUE": 5}) == "5"


@pytest.mark.parametrize(
    ("logical_date", "text"), [(None, ""), (datetime(2024, 5, 6, tzinfo=UTC), "2024-05-06T00:00:00+00:00")]
)
def test_the_command_knows_its_attempt(logical_date: datetime | None, text: str) -> None:
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", try_number=2)
    show = 'echo "$ORCH_DAG_ID $ORCH_RUN_ID $ORCH_TASK_ID $ORCH_TRY_NUMBER [${ORCH_LOGICAL_DATE-unset}]"'
    result = bash(show, env={"ORCH_TASK_ID": "forged"}).execute({"ti": ti, "logical_date": logical_date})
    assert result == f"d r t 2 [{text}]"


def test_it_runs_in_its_folder_or_in_a_temporary_one(tmp_path: Path) -> None:
    assert run("pwd -P", cwd=tmp_path) == str(tmp_path.resolve())
    temporary = run("touch left_behind; pwd")
    assert temporary is not None
    assert "orch-bash-" in temporary
    assert not Path(temporary).exists()


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(NotADirectoryError, match="task 'shell': cwd '/no/such' is no folder on this machine"):
        run("true", cwd="/no/such")


def test_a_machine_without_bash_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/such")
    with pytest.raises(Fail, match="bash is not installed on this machine"):
        run("true")


def test_output_in_any_bytes_reaches_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("printf 'a\\xff\\x00b\\xc3'") == "a\\xff\x00b\\xc3"
    assert run("printf '\\xe9'", output_encoding="latin-1") == "é"
    assert capsys.readouterr().out == "a\\xff\x00b\\xc3é"


def test_a_character_cut_in_two_is_put_together() -> None:
    output = Output("utf-8")
    for byte in "é\nsnow ☃".encode():
        output.write(bytes([byte]))
    output.finish()
    assert output.last_line == "snow ☃"


def test_a_last_line_too_long_for_a_result_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output("utf-8")
    output.write(b"x" * MAX_LINE)
    output.write(b"y")
    output.finish()
    with pytest.raises(Fail, match="the last line of the output has more than 16,777,216 characters"):
        _ = output.last_line
    assert len(capsys.readouterr().out) == MAX_LINE + 1


def test_stdin_is_empty() -> None:
    code = "from orch_standard import BashOperator; BashOperator(task_id='t', bash_command='cat').execute({})"
    done = subprocess.run(
        [sys.executable, "-c", code], input="typed", capture_output=True, text=True, check=True
    )
    assert done.stdout == ""


def test_what_it_leaves_running_is_killed_when_it_ends() -> None:
    pid = int(run("sleep 1000 >/dev/null & echo $!") or 0)
    wait_until_gone(pid)


def test_a_left_process_that_holds_the_output_does_not_keep_it_waiting() -> None:
    pid = int(run("sleep 1000 & echo $!") or 0)
    wait_until_gone(pid)


def test_what_is_left_by_a_command_that_closed_its_output_is_killed_too(tmp_path: Path) -> None:
    run(f"exec >&-; sleep 1000 & echo $! > {tmp_path}/pid")
    wait_until_gone(int((tmp_path / "pid").read_text()))


def test_a_left_process_that_writes_for_ever_does_not_keep_it_waiting() -> None:
    assert run("yes & true") in ("", "y")


def test_a_daemon_in_another_session_does_not_keep_it_waiting() -> None:
    daemon = "setsid bash -c 'echo $$ > ready; exec sleep 1000'"
    pid = int(run(f"mkfifo ready; {daemon} & read pid < ready; echo $pid") or 0)
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)  # it has left the group, so the operator does not end it


def interrupting(pids: list[int]) -> Callable[[bytes], None]:
    """Return a write that notes the process ids it is given and interrupts after the second."""

    def write(self: Any, chunk: bytes) -> None:
        pids.extend(int(word) for word in chunk.split())
        if len(pids) >= 2:
            raise KeyboardInterrupt

    return write  # type: ignore[return-value]  # it becomes a method


@pytest.mark.parametrize("trap", ["", "trap '' TERM;"])
def test_an_interruption_ends_the_whole_group(monkeypatch: pytest.MonkeyPatch, trap: str) -> None:
    pids: list[int] = []
    monkeypatch.setattr(Output, "write", interrupting(pids))
    monkeypatch.setattr("orch_standard.command._GRACE_SECONDS", 0.3)
    with pytest.raises(KeyboardInterrupt):
        run(f"{trap} echo $$; (echo $BASHPID; sleep 1000); true")
    assert len(pids) == 2
    for pid in pids:
        wait_until_gone(pid)


def test_a_program_gets_time_to_clean_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pids: list[int] = []
    monkeypatch.setattr(Output, "write", interrupting(pids))
    clean = (
        f"trap 'echo cleaned > {tmp_path}/note; exit' TERM; echo $BASHPID $$; while true; do sleep 0.01; done"
    )
    with pytest.raises(KeyboardInterrupt):
        run(f"({clean}); true")
    assert (tmp_path / "note").read_text() == "cleaned\n"


def test_on_kill_before_and_after_a_run_does_nothing() -> None:
    operator = bash("echo a")
    operator.on_kill()
    assert operator.execute({}) == "a"
    operator.on_kill()


def test_bash_dies_with_a_task_process_that_is_killed() -> None:
    code = (
        "from orch_standard import BashOperator;"
        "BashOperator(task_id='t', bash_command='echo $$; while true; do sleep 0.05; done').execute({})"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert is_alive(pid)
        process.kill()
    wait_until_gone(pid)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bash_command": ""}, "bash_command must be a text that is not empty, not ''"),
        ({"bash_command": ["ls"]}, "bash_command must be a text"),
        ({"bash_command": "a\0b"}, "bash_command must be a text"),
        ({"env": ["A=1"]}, "env must be a dict"),
        ({"cwd": 5}, "cwd must be a path"),
        ({"skip_on_exit_code": ["a"]}, "skip_on_exit_code must be an exit code, a list of them, or None"),
        ({"output_encoding": "utf-9"}, "output_encoding must be an encoding that Python knows, not 'utf-9'"),
        ({"bash_comand": "ls"}, "unknown argument 'bash_comand'; did you mean 'bash_command'?"),
        ({"output_processor": len}, "'output_processor' comes in a later release of orch"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match="task 'shell'") as caught:
        BashOperator(task_id="shell", **{"bash_command": "true", **arguments})
    assert message in str(caught.value)


def test_results_of_other_tasks_may_be_its_arguments() -> None:
    with DAG("x") as made:
        first = bash("echo a")
        BashOperator(task_id="second", bash_command=first.output, env={"A": first.output}, cwd=first.output)
    assert made.to_spec().by_id["second"].inputs == (("shell", "return_value"),)


def test_a_result_that_is_no_command_is_refused_at_run_time() -> None:
    operator = bash("true")
    operator.bash_command = 5  # type: ignore[assignment]  # what another task may have returned
    with pytest.raises(DagDefinitionError, match="bash_command must be a text that is not empty, not 5"):
        operator.execute({})
