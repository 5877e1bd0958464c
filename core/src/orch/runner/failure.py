"""Failures as text: an exception of user code becomes one line and a traceback that any database can hold."""

import traceback
from pathlib import Path
from types import TracebackType

MAX_LINE = 500
MAX_TRACEBACK = 50_000

_OWN_FILES = tuple(
    str(Path(__file__).parent.parent / name)
    for name in ("runner/execute.py", "authoring/python.py", "authoring/callables.py")
)
"""Frames of these at the start of a traceback are orch's way into user code and say nothing to its author."""


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


def traceback_text(error: BaseException) -> str:
    """Return the traceback from the first frame of user code on; the middle of a very long one is left out."""
    frames = _skip_own(error.__traceback__)
    text = _storable("".join(traceback.format_exception(type(error), error, frames)))
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def _skip_own(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and frames.tb_next is not None:
        if frames.tb_frame.f_code.co_filename not in _OWN_FILES:
            break
        frames = frames.tb_next
    return frames


def _storable(text: str) -> str:
    """Spell out lone surrogates and NUL characters, which UTF-8 and some databases cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
