"""The edge of the command line: what an error looks like to a person, and which exit code it has."""

import contextlib
import io
import os
import platform
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from orch.errors import BadInput, OrchError

DONE, FAILED, BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141


def exit_code_of(command: Callable[[], object], home: Callable[[], Path], argv: Sequence[str]) -> int:
    """Call the command and return its exit code; errors become one line on stderr, never a traceback."""
    try:
        code = _guarded(command, home, argv)
        sys.stdout.flush()
    except BrokenPipeError:
        return _leave_the_pipe()
    except OSError as error:
        _leave_the_pipe()
        return _say(f"error: the output cannot be written: {_os_error_text(error)}", FAILED)
    return code


def open_closed_streams() -> None:
    """Leave a process whose stdin, stdout and stderr exist and take every text.

    What the caller has closed becomes the null device: the next file to be opened must not take its place.
    """
    for fd, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null == fd:
                os.set_inheritable(fd, True)
            else:
                os.dup2(null, fd)
                os.close(null)
            setattr(sys, name, open(fd, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - stays open
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def refuse_undecodable(argv: Sequence[str]) -> None:
    """Raise BadInput for an argument that is not valid UTF-8: no name, id or path of orch is."""
    for argument in argv:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise BadInput(f"argument {argument!r} is not valid UTF-8; orch takes no such name") from None


def hold_back_stops() -> None:
    """For the last moments of a process, when nothing is left to stop: a late request must not change its exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))


def _guarded(command: Callable[[], object], home: Callable[[], Path], argv: Sequence[str]) -> int:
    try:
        result = command()
    except BrokenPipeError:
        raise
    except click.exceptions.Exit as asked:
        return asked.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort, EOFError):
        return _say("interrupted", INTERRUPTED)
    except OrchError as error:
        return _say(f"error: {error}", error.exit_code)
    except OSError as error:
        return _say(f"error: {_os_error_text(error)}", FAILED)
    except Exception as error:  # the edge: whatever it is, a person reads one line
        return _crashed(error, home, argv)
    return result if isinstance(result, int) else DONE


def _say(line: str, code: int) -> int:
    with contextlib.suppress(BrokenPipeError):
        click.echo(line, err=True)
    return code


def _os_error_text(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


def _crashed(error: Exception, home: Callable[[], Path], argv: Sequence[str]) -> int:
    kind = f"{type(error).__name__}: {error}".splitlines()[0]
    try:
        path = _write_report(error, home(), argv)
    except OSError as unwritable:
        return _say(f"error: {kind} (no crash report: {_os_error_text(unwritable)})", FAILED)
    return _say(f"error: this is a bug in orch: {kind}; details in {path}", FAILED)


def _write_report(error: Exception, home: Path, argv: Sequence[str]) -> Path:
    folder = home / "logs" / "_components"
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    path = folder / f"cli-crash-{now:%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    head = f"orch {' '.join(argv)}\n{now.isoformat()} Python {platform.python_version()}\n\n"
    path.write_text(
        head + "".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace"
    )
    path.chmod(0o600)
    return path


def _leave_the_pipe() -> int:
    """The reader is gone: nothing more can be said, and the interpreter must not try at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    return BROKEN_PIPE
