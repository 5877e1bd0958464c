"""Reset of what the interpreter and the standard library keep for the process."""

import atexit
import decimal
import gc
import locale
import random
import socket
import sys
import threading
import warnings
from typing import Any

from orch.runner.reset.entry import Reset, attributes, knobs, lists

_DECIMAL = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")


def _save_warnings() -> list[Any]:
    return [warnings.filters, list(warnings.filters), warnings.showwarning, warnings.formatwarning]


def _restore_warnings(saved: list[Any]) -> None:
    filters, copy, warnings.showwarning, warnings.formatwarning = saved
    warnings.filters = filters
    warnings.resetwarnings()  # it also forgets which warnings were shown: the next task sees them as the first
    filters[:] = copy


def _save_decimal() -> list[tuple[str, decimal.Context]]:
    """Return both contexts, with their texts, which are compared at a fraction of the cost."""
    return [(repr(context), context.copy()) for context in (decimal.getcontext(), decimal.DefaultContext)]


def _restore_decimal(saved: list[tuple[str, decimal.Context]]) -> None:
    (text, current), (default_text, default) = saved
    if repr(decimal.getcontext()) != text:
        decimal.setcontext(current.copy())
    if repr(decimal.DefaultContext) != default_text:
        for name in _DECIMAL:
            setattr(decimal.DefaultContext, name, getattr(default, name))
        decimal.DefaultContext.traps.update(default.traps)
        decimal.DefaultContext.flags.update(default.flags)


def _save_gc() -> list[Any]:
    return [gc.isenabled(), gc.get_threshold(), gc.get_debug(), list(gc.callbacks)]


def _restore_gc(saved: list[Any]) -> None:
    enabled, threshold, debug, callbacks = saved
    gc.callbacks[:] = callbacks
    gc.set_debug(debug)
    gc.set_threshold(*threshold)
    (gc.enable if enabled else gc.disable)()


def _reseed(_: None) -> None:
    random.seed()


def _forget_atexit(_: None) -> None:
    atexit._clear()  # noqa: SLF001  # there is no public way; a task process never runs them


def _save_event_loop() -> Any:
    """Return a policy that the import of the DAG file has set; None for the default one, which holds a loop."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    policy = asyncio.events._event_loop_policy  # noqa: SLF001  # the public way would make one
    return None if type(policy) is asyncio.DefaultEventLoopPolicy else policy


def _restore_event_loop(policy: Any) -> None:
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        asyncio._set_running_loop(None)  # noqa: SLF001  # documented for frameworks
        asyncio.set_event_loop_policy(policy)


def _save_temporary_folder() -> str | None:
    tempfile: Any = sys.modules.get("tempfile")
    return None if tempfile is None else tempfile.tempdir


def _restore_temporary_folder(folder: str | None) -> None:
    tempfile: Any = sys.modules.get("tempfile")
    if tempfile is not None:
        tempfile.tempdir = folder


def _locale() -> str:
    return locale.setlocale(locale.LC_ALL)


IMPORT_PATH = lists("import path", (sys, "path"), (sys, "argv"), (sys, "path_hooks"), (sys, "meta_path"))
WARNINGS = Reset("warnings", _save_warnings, _restore_warnings)
HOOKS = attributes(
    "hooks",
    (sys, "excepthook"),
    (sys, "unraisablehook"),
    (sys, "displayhook"),
    (sys, "breakpointhook"),
    (threading, "excepthook"),
)
TRACING = knobs(
    "tracing",
    (sys.gettrace, sys.settrace),
    (sys.getprofile, sys.setprofile),
    (threading.gettrace, threading.settrace),
    (threading.getprofile, threading.setprofile),
)
INTERPRETER = knobs(
    "interpreter limits",
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (sys.getswitchinterval, sys.setswitchinterval),
    (sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    (threading.stack_size, threading.stack_size),
)
GARBAGE = Reset("garbage collector", _save_gc, _restore_gc)
RANDOM = Reset("random", lambda: None, _reseed)
LOCALE = knobs("locale", (_locale, lambda value: locale.setlocale(locale.LC_ALL, value)))
DECIMAL = Reset("decimal context", _save_decimal, _restore_decimal)
ATEXIT = Reset("exit handlers", lambda: None, _forget_atexit)
SOCKET = knobs("socket timeout", (socket.getdefaulttimeout, socket.setdefaulttimeout))
EVENT_LOOP = Reset("event loop", _save_event_loop, _restore_event_loop)
TEMPORARY_FOLDER = Reset("temporary folder", _save_temporary_folder, _restore_temporary_folder)
