"""Problems: what an error during an import means to the author of the file, in one sentence with the line."""

import ast
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orch
from orch.dagfiles.requests import OWN_FAILURE, StemConfig
from orch.dagfiles.results import ImportProblem
from orch.errors import OrchError, nearest

_FAULT_FRAME = re.compile(r'\s*File "(?P<file>.+)", line (?P<line>\d+) in .*')
"""How Python writes its stack when it crashes, innermost frame first."""

_NO_NAME = re.compile(r"cannot import name '(?P<name>\w+)' from '(?P<module>[\w.]+)'")
"""How Python says that a module lacks what a file takes from it."""

_INTERNALS = (f"{Path(orch.__file__).parent}{os.sep}", "<frozen ")


class ImportTimeout(BaseException):
    """The time of an import is over. Not an Exception, which the file might swallow."""


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains the errors of one DAG file."""

    config: StemConfig
    path: str
    """Of the file, relative to the dags folder."""

    @property
    def file(self) -> str:
        """Absolute path of the file."""
        return str(Path(self.config.folder, self.path))

    def problem(self, error: BaseException, line: int | None = None) -> ImportProblem:
        """Return what the error means; `line` is used when no frame of the file is to blame."""
        return ImportProblem.of(self._message(error), self._line(error) or line, self._traceback(error))

    def death(self, code: int, output: str, *, timed_out: bool) -> ImportProblem:
        """Return what the end of the import's process means when it left no result behind."""
        if timed_out:
            message = self._too_long()
        elif code == OWN_FAILURE:
            message = "orch failed while it imported the file; this is a bug in orch, please report it"
        elif code >= 0:
            message = f"the file ended the process (exit code {code}, as by os._exit) while being imported"
        else:
            message = f"the process was killed by {_signal_name(-code)} while the file was being imported"
            if -code in (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS):
                message += f"; it may use at most {self.config.memory_mb} MB (dagfiles.import_memory_mb)"
        lines = [(text, _FAULT_FRAME.fullmatch(text)) for text in output.splitlines()]
        line = next((int(frame["line"]) for _, frame in lines if frame and frame["file"] == self.file), None)
        shown = (text for text, frame in lines if not (frame and frame["file"].startswith(_INTERNALS)))
        return ImportProblem.of(message, line, with_output("", "\n".join(shown)))

    def _too_long(self) -> str:
        return f"import took longer than {self.config.timeout_seconds:g} s (dagfiles.import_timeout_seconds)"

    def _message(self, error: BaseException) -> str:
        if isinstance(error, OrchError):
            return _text(error)
        if isinstance(error, ImportTimeout):
            return self._too_long()
        if isinstance(error, MemoryError):
            return f"needed more than {self.config.memory_mb} MB (dagfiles.import_memory_mb)"
        if isinstance(error, SystemExit):
            return f"the file ended the interpreter (SystemExit {error.code}) while being imported"
        if isinstance(error, SyntaxError):
            return f"{type(error).__name__}: {error.msg}{self._elsewhere(error)}"
        if isinstance(error, ModuleNotFoundError) and error.name:
            return f"{error}{self._where_to_get(error.name)}"
        if isinstance(error, ImportError) and "relative import" in str(error):
            return f"{error}; the dags folder is on the import path: write the full name of the module"
        return f"{type(error).__name__}: {_text(error)}".removesuffix(": ") + _nearest_import(error)

    def _elsewhere(self, error: SyntaxError) -> str:
        if error.filename in (None, self.file):
            return ""
        return f" ({error.filename}, line {error.lineno})"

    def _where_to_get(self, module: str) -> str:
        package = module.partition(".")[0]
        if package in self.config.providers:
            return f"; {self.config.providers[package]}"
        if package == "airflow":
            return (
                "; DAG files of orch import from orch: `from orch import DAG, task`, "
                "and operators from orch_standard: `from orch_standard import BashOperator`"
            )
        if package.startswith("orch_"):
            return f"; no provider of orch has this name{nearest(package, self.config.providers)}"
        return ""

    def _line(self, error: BaseException) -> int | None:
        if isinstance(error, SyntaxError) and error.filename == self.file:
            return error.lineno
        frames = traceback.walk_tb(error.__traceback__)
        return next(
            (line for frame, line in reversed(list(frames)) if frame.f_code.co_filename == self.file), None
        )

    def _traceback(self, error: BaseException) -> str:
        described = traceback.TracebackException.from_exception(error)
        self._trim(described, only_user_code=isinstance(error, OrchError | ImportTimeout))
        return "".join(described.format())

    def _trim(self, described: traceback.TracebackException, *, only_user_code: bool) -> None:
        """Leave out the frames of the import system and of orch, here and in the causes."""
        kept = [f for f in described.stack if self._is_shown(f.filename, only_user_code=only_user_code)]
        described.stack = traceback.StackSummary.from_list(kept)
        inner: Iterable[traceback.TracebackException | None] = (
            described.__cause__,
            described.__context__,
            *(described.exceptions or ()),
        )
        for other in inner:
            if other is not None:
                self._trim(other, only_user_code=only_user_code)

    def _is_shown(self, filename: str, *, only_user_code: bool) -> bool:
        if filename.startswith(_INTERNALS):
            return False
        return not only_user_code or filename.startswith(f"{self.config.folder}{os.sep}")


def line_of_dag(file: Path, dag_id: str) -> int | None:
    """Return the first line of the file that names the DAG, as a text or as a function."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    for node in sorted(ast.walk(tree), key=lambda node: getattr(node, "lineno", 0)):
        match node:
            case ast.Constant(value=name) | ast.FunctionDef(name=name) if name == dag_id:
                return node.lineno
    return None


def with_output(trace: str, output: str) -> str:
    """Return the traceback with what the import printed below it."""
    if not output.strip():
        return trace
    return f"{trace}\nOutput of the import:\n{output}" if trace else f"Output of the import:\n{output}"


def _nearest_import(error: BaseException) -> str:
    """Return a hint when a name was misspelt that orch or a provider has."""
    found = _NO_NAME.match(_text(error)) if isinstance(error, ImportError) else None
    if found is None or not found["module"].startswith("orch"):
        return ""
    return nearest(found["name"], (n for n in dir(sys.modules.get(found["module"])) if n[0] != "_"))


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as worse:  # the author's own class may not even be able to say what is wrong
        return f"(its text cannot be had: {type(worse).__name__})"


def _signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"
