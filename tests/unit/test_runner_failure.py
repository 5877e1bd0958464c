"""Failures as text: people see their own code, and only the message where no code of theirs is to blame."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orch.errors import NotFound, OrchError, XComError
from orch.runner.failure import traceback_text
from orch.runner.interrupt import KILLED, TIMEOUT, Interrupted
from orch.runner.loading import load_dags


def caught(work: Callable[[], Any]) -> BaseException:
    try:
        work()
    except BaseException as error:  # whatever it is, it is the subject of the test
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
        return error
    raise AssertionError("nothing was raised")


def files_of(text: str | None) -> list[str]:
    lines = (text or "").splitlines()
    return [Path(line.split('"')[1]).name for line in lines if line.startswith("  File")]


def code_of(module: str, text: str, **names: Any) -> Callable[[], Any]:
    """Return a function whose frame is one of this module."""
    code = compile(text, f"{module}.py", "exec")
    return lambda: exec(code, {"__name__": module, **names})


@pytest.mark.parametrize("text", ["import orch\n1 / 0\n", "import orch\nx = (\n"])
def test_an_import_error_shows_the_file_and_the_line_and_nothing_of_orch(tmp_path: Path, text: str) -> None:
    (tmp_path / "flow.py").write_text(text)
    shown = traceback_text(caught(lambda: load_dags(str(tmp_path / "flow.py"), str(tmp_path))))
    # The first frame is the lambda of this test, which counts as user code.
    assert files_of(shown)[-1] == "flow.py"
    assert "line 2" in (shown or "")


def test_frames_of_orch_above_user_code_are_left_out_also_in_causes(tmp_path: Path) -> None:
    text = "import orch\ntry:\n    1 / 0\nexcept Exception as error:\n    raise KeyError('x') from error\n"
    (tmp_path / "flow.py").write_text(text)
    error = caught(lambda: load_dags(str(tmp_path / "flow.py"), str(tmp_path)))
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next  # now it begins in orch
    assert files_of(traceback_text(error)) == ["flow.py", "flow.py"]


def test_what_a_provider_of_orch_refuses_is_its_message_alone() -> None:
    error = caught(code_of("orch_standard.bash", "raise OrchError('exit code 3')", OrchError=OrchError))
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next
    assert traceback_text(error) is None


def test_a_bug_of_orch_keeps_its_frames() -> None:
    error = caught(code_of("orch_standard.bash", "1 / 0"))
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next
    assert files_of(traceback_text(error)) == ["orch_standard.bash.py"]


@pytest.mark.parametrize("error", [XComError("too large"), Interrupted(TIMEOUT)])
def test_an_xcom_and_a_timeout_are_their_message_alone(error: BaseException) -> None:
    assert traceback_text(caught(code_of("flow", "raise error", error=error))) is None


@pytest.mark.parametrize("error", [NotFound("no such city"), Interrupted(KILLED)])
def test_other_errors_in_user_code_show_where(error: BaseException) -> None:
    shown = traceback_text(caught(code_of("flow", "raise error", error=error)))
    assert files_of(shown)[-1] == "flow.py"
