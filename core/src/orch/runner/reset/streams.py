"""Reset of stdin, stdout and stderr: the same objects as before, empty, and writing each line at once."""

import ctypes
import functools
import io
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from orch.runner.reset.entry import CannotReset, Reset

_NAMES = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")


def prepare_output() -> None:
    """Make stdout and stderr write each line at once, as UTF-8, whatever the locale; before the first fork."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Each only when it differs: a stream that was opened on a file refuses a new encoding on a pipe.
            if stream.encoding.lower() != "utf-8" or stream.errors != "backslashreplace":
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")
            if not stream.line_buffering or stream.write_through:
                stream.reconfigure(line_buffering=True, write_through=False)


def flush_output() -> None:
    """Write what is buffered, by Python and by C code, to where descriptors 1 and 2 lead now."""
    for stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}:
        with suppress(AttributeError, OSError, ValueError):  # user code may have closed or replaced it
            stream.flush()  # type: ignore[union-attr]
    _fflush()(None)  # all C streams


def _save() -> list[Any]:
    _fflush()
    return [getattr(sys, name) for name in _NAMES]


def _restore(saved: list[Any]) -> None:
    for name, stream in zip(_NAMES, saved, strict=True):
        present = getattr(sys, name, None)
        if present is not stream:
            with suppress(Exception):  # foreign code
                present.flush()  # type: ignore[union-attr]
            setattr(sys, name, stream)
        if stream is not None and stream.closed:
            raise CannotReset(f"sys.{name} is closed")
    prepare_output()


@functools.cache
def _fflush() -> Callable[[None], int]:
    flush: Callable[[None], int] = ctypes.CDLL(None).fflush
    return flush


STREAMS = Reset("standard streams", _save, _restore)
