"""BashOperator: a task that runs a shell command."""

import codecs
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

from orch import BaseOperator, DagDefinitionError, Fail, OrchError, Skip, XComArg
from orch_standard.command import ShellCommand
from orch_standard.output import Output


class CommandFailed(OrchError):
    """A shell command ended with an exit code other than 0."""


class BashOperator(BaseOperator):
    """Runs `bash -c bash_command`; the last line it writes to stdout is the task's result.

    Exit code 0 is success, a code in `skip_on_exit_code` skips the task, any other fails it. The command runs
    in the folder `cwd`, or in an empty temporary one. Its environment is that of the task process, or `env`
    instead of it, or both with `append_env=True`; values of `env` that are no text are handed over as JSON.
    Always there are ORCH_DAG_ID, ORCH_RUN_ID, ORCH_TASK_ID, ORCH_TRY_NUMBER and ORCH_LOGICAL_DATE (empty when
    the run has none). Hand over values from outside by `env`, never by pasting them into the command: a value
    is data, a command is code. What the command leaves running when it ends is killed.
    """

    template_fields: ClassVar[Sequence[str]] = ("bash_command", "env", "cwd")
    later_arguments: ClassVar[frozenset[str]] = frozenset({"output_processor"})

    def __init__(
        self,
        *,
        bash_command: str | XComArg,
        env: Mapping[str, Any] | XComArg | None = None,
        append_env: bool = False,
        cwd: str | os.PathLike[str] | XComArg | None = None,
        skip_on_exit_code: int | Collection[int] | None = 99,
        output_encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bash_command = bash_command
        self.env = env
        self.append_env = append_env
        self.cwd = cwd
        self.skip_on_exit_code = skip_on_exit_code
        self.output_encoding = output_encoding
        self._running: ShellCommand | None = None
        self._check()

    def execute(self, context: Mapping[str, Any]) -> str | None:
        """Run the command; return the last line of its output without trailing white space."""
        if shutil.which("bash") is None:
            raise Fail(f"{self}: bash is not installed on this machine")
        self._check()  # again: results of other tasks have become values
        output = Output(self.output_encoding)
        with ExitStack() as cleanup:
            folder = self._folder(cleanup)
            self._running = ShellCommand(str(self.bash_command), self._environment(context), folder)
            cleanup.callback(self._running.close)
            cleanup.callback(self._running.end)
            for chunk in self._running.output():
                output.write(chunk)
            output.finish()
            self._judge(self._running.wait())
        return output.last_line if self.do_xcom_push else None

    def on_kill(self) -> None:
        """End the command and all it has started in its process group."""
        if self._running is not None:
            self._running.end()

    def _judge(self, code: int) -> None:
        skipping = self.skip_on_exit_code
        if code in ((skipping,) if isinstance(skipping, int) else skipping or ()):
            raise Skip(f"the command ended with exit code {code}")
        if code != 0:
            raise CommandFailed(f"the command of {self} {_in_words(code)}")

    def _folder(self, cleanup: ExitStack) -> str:
        if self.cwd is None:
            temporary = tempfile.TemporaryDirectory(prefix="orch-bash-", ignore_cleanup_errors=True)
            return cleanup.enter_context(temporary)
        folder = str(self.cwd)
        if not Path(folder).is_dir():
            raise NotADirectoryError(f"{self}: cwd {folder!r} is no folder on this machine")
        return folder

    def _environment(self, context: Mapping[str, Any]) -> dict[str, str]:
        own = {} if self.env is None else {str(name): _text(value) for name, value in dict(self.env).items()}
        inherited = os.environ if self.env is None or self.append_env else {}
        return {**inherited, **own, **_facts(context)}

    def _check(self) -> None:
        if not isinstance(self.bash_command, XComArg) and not _is_command(self.bash_command):
            self._refuse("bash_command must be a text that is not empty", self.bash_command)
        env, cwd, codes = self._unproven()
        if not isinstance(env, Mapping | XComArg | None):
            self._refuse("env must be a dict", env)
        if not isinstance(cwd, str | os.PathLike | XComArg | None):
            self._refuse("cwd must be a path", cwd)
        if not isinstance(codes, int | None) and not all(isinstance(code, int) for code in codes):
            self._refuse("skip_on_exit_code must be an exit code, a list of them, or None", codes)
        try:
            codecs.lookup(self.output_encoding)
        except (LookupError, TypeError):
            self._refuse("output_encoding must be an encoding that Python knows", self.output_encoding)

    def _unproven(self) -> tuple[Any, Any, Any]:
        """Return arguments as what they are at run time: anything."""
        return self.env, self.cwd, self.skip_on_exit_code

    def _refuse(self, must: str, value: object) -> None:
        raise DagDefinitionError(f"{self}: {must}, not {value!r}")


def _is_command(command: object) -> bool:
    return isinstance(command, str) and bool(command.strip()) and "\0" not in command


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _facts(context: Mapping[str, Any]) -> dict[str, str]:
    """Return what the command can know of its attempt; nothing when it is called outside of one."""
    ti = context.get("ti")
    if ti is None:
        return {}
    logical_date = context.get("logical_date")
    return {
        "ORCH_DAG_ID": ti.dag_id,
        "ORCH_RUN_ID": ti.run_id,
        "ORCH_TASK_ID": ti.task_id,
        "ORCH_TRY_NUMBER": str(ti.try_number),
        "ORCH_LOGICAL_DATE": "" if logical_date is None else logical_date.isoformat(),
    }


def _in_words(code: int) -> str:
    """Describe an exit code: bash reports a program that was killed by signal N as 128 + N."""
    number = -code if code < 0 else code - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"ended with exit code {code}"
    if code < 0:
        return f"was killed by signal {number} ({name})"
    return f"ended with exit code {code}: a program in it was killed by signal {number} ({name})"
