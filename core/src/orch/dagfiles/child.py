"""The child: a process forked from the stem that imports one DAG file under limits, writes the result, and ends."""

import faulthandler
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn, TextIO

from orch.dagfiles.importing import import_file
from orch.dagfiles.limits import lift_memory_limit, limit_memory
from orch.dagfiles.problems import Explainer
from orch.dagfiles.requests import OWN_FAILURE, StemConfig
from orch.dagfiles.results import MAX_RESULT_BYTES, ImportProblem, ImportResult


def run_child(config: StemConfig, path: str, result_fd: int, output_fd: int) -> NoReturn:
    """Import the file and end this process. Exit code 0 without a result means that the file ended it."""
    me = os.getpid()
    code = OWN_FAILURE
    try:
        _take_over(output_fd)
        limit_memory(config.memory_mb)
        result = import_file(Explainer(config, path))
        lift_memory_limit()
        if os.getpid() == me:  # the file may have forked, and its child comes by here as well
            _write(result, result_fd)
        code = 0
    except BaseException:  # nothing may return into the loop of the stem
        sys.excepthook(*sys.exc_info())
    finally:
        _flush()
        os._exit(code)


def _take_over(output_fd: int) -> None:
    """Become a process of its own: own group, default signals, output to the pipe, a trace when it crashes."""
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(output_fd, 1)
    os.dup2(output_fd, 2)
    sys.stdout, sys.stderr = _text(1), _text(2)
    faulthandler.enable(file=2)


def _text(fd: int) -> TextIO:
    return open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _write(result: ImportResult, result_fd: int) -> None:
    content = result.to_json().encode()
    if len(content) > MAX_RESULT_BYTES:
        message = (
            f"its DAGs take {len(content) >> 20} MB when serialised; {MAX_RESULT_BYTES >> 20} MB are allowed:"
            " declare fewer tasks per file"
        )
        content = (
            ImportResult(result.path, problems=(ImportProblem.of(message),), sources=result.sources)
            .to_json()
            .encode()
        )
    with open(result_fd, "wb", closefd=False) as file:
        file.write(content)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
