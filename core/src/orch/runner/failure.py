"""Failures as text: an exception of user code becomes one line and a traceback that any database can hold."""

import os
import traceback
from pathlib import Path
from types import FrameType

from orch.errors import OrchError, XComError
from orch.runner.interrupt import TIMEOUT, Interrupted

MAX_LINE = 500
MAX_TRACEBACK = 50_000

_OWN_FOLDER = f"{Path(__file__).parent.parent}{os.sep}"
_OWN_PACKAGES = frozenset({"orch_standard"})
_IMPORT_SYSTEM = "<frozen importlib"


def one_line(error: BaseException) -> str:
    """Return type and message in one line of at most MAX_LINE characters."""
    try:
        message = str(error)
    except Exception:  # a broken __str__ of foreign code must not hide the failure
        message = "(its message cannot be shown)"
    return line(f"{type(error).__name__}: {message}" if message else type(error).__name__)


def line(text: str) -> str:
    """Return `text` without line breaks and odd characters, shortened to MAX_LINE characters."""
    flat = " ".join(_storable(text).split())
    return flat if len(flat) <= MAX_LINE else f"{flat[: MAX_LINE - 3]}..."


def traceback_text(error: BaseException) -> str | None:
    """Return the traceback from the first frame of user code on; the middle of a very long one is left out.

    None when the message alone says all: for a refused XCom, the end of the execution timeout, and what orch or
    a provider of its own refuses before any user code.
    """
    if isinstance(error, XComError) or (isinstance(error, Interrupted) and error.reason == TIMEOUT):
        return None
    if isinstance(error, OrchError) and _first_of_user(error) is None:
        return None
    described = traceback.TracebackException.from_exception(error)
    _trim(error, described)
    text = _storable("".join(described.format()))
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def _trim(error: BaseException, described: traceback.TracebackException) -> None:
    """Cut off orch's way into user code, here and in the causes; frames of orch alone are a bug and stay."""
    pending: list[tuple[BaseException | None, traceback.TracebackException | None]] = [(error, described)]
    while pending:
        raised, shown = pending.pop()
        if raised is not None and shown is not None:
            if first := _first_of_user(raised):
                shown.stack = traceback.StackSummary.from_list(shown.stack[first:])
            elif first is None and isinstance(raised, OrchError | SyntaxError):
                shown.stack = traceback.StackSummary()
            pending += [(raised.__cause__, shown.__cause__), (raised.__context__, shown.__context__)]


def _first_of_user(error: BaseException) -> int | None:
    """Return how many frames of orch come before the first one of user code; None when there is none of it."""
    frames = enumerate(frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return next((number for number, frame in frames if not _is_own(frame)), None)


def _is_own(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    return file.startswith((_OWN_FOLDER, _IMPORT_SYSTEM)) or package in _OWN_PACKAGES


def _storable(text: str) -> str:
    """Spell out lone surrogates and NUL characters, which UTF-8 and some databases cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
