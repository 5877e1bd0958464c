"""Reset of what the operating system keeps for the process: environment, folder, signals, timers, limits."""

import faulthandler
import importlib
import os
import resource
import signal
import time
from typing import Any

from orch.runner.reset.entry import CannotReset, Reset, knobs

_CATCHABLE = tuple(sorted(map(int, signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})))
_FATAL = frozenset({signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS, signal.SIGILL})
"""Those that faulthandler.enable() is for."""
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_LIMITS = tuple(sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}))


_plain: Any = importlib.import_module("_signal")
"""The functions behind those of `signal`, without the enums, which cost many times as much."""


def _save_environment() -> tuple[os._Environ[str], dict[Any, Any], Any]:
    return os.environ, dict(_raw(os.environ)), _zone()


def _restore_environment(saved: tuple[os._Environ[str], dict[Any, Any], Any]) -> None:
    environ, content, zone = saved
    if os.environ is not environ:
        os.environ = environ  # noqa: B003  # the saved object is the one that also sets the real environment
    if _raw(environ) != content:
        wanted = {environ.decodekey(key): environ.decodevalue(value) for key, value in content.items()}
        for name in environ.keys() - wanted.keys():
            del environ[name]
        environ.update(wanted)
    if _zone() != zone:
        time.tzset()


def _raw(environ: Any) -> dict[Any, Any]:
    """The dictionary behind an environment, since comparing through its interface decodes every value."""
    data: dict[Any, Any] = environ._data  # noqa: SLF001
    return data


def _zone() -> tuple[Any, ...]:
    return time.tzname, time.timezone, time.altzone


def _stop_timers(_: None) -> None:
    for timer in _TIMERS:
        signal.setitimer(timer, 0)


def _save_signals() -> tuple[list[Any], set[int]]:
    handlers = [_plain.getsignal(number) for number in _CATCHABLE]
    return handlers, set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def _restore_signals(saved: tuple[list[Any], set[int]]) -> None:
    handlers, mask = saved
    signal.set_wakeup_fd(-1)
    while pending := _plain.sigpending():  # what a task has blocked must not reach the next one
        if signal.sigtimedwait(pending, 0) is None:
            break
    if (present := [_plain.getsignal(number) for number in _CATCHABLE]) != handlers:
        for number, handler, now in zip(_CATCHABLE, handlers, present, strict=True):
            if now is not handler:
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
    _plain.pthread_sigmask(signal.SIG_SETMASK, mask)


def _restore_faulthandler(was_enabled: bool) -> None:  # it is the saved value
    faulthandler.cancel_dump_traceback_later()
    for number in _CATCHABLE:
        if number not in _FATAL:
            faulthandler.unregister(number)
    faulthandler.disable()
    if was_enabled:
        faulthandler.enable(2)


def _save_limits() -> list[tuple[int, int]]:
    return [resource.getrlimit(limit) for limit in _LIMITS]


def _restore_limits(saved: list[tuple[int, int]]) -> None:
    for limit, value in zip(_LIMITS, saved, strict=True):
        if resource.getrlimit(limit) != value:
            resource.setrlimit(limit, value)


def _identity() -> tuple[Any, ...]:
    return os.getresuid(), os.getresgid(), os.getsid(0), os.getpgrp()


def _check_identity(saved: tuple[Any, ...]) -> None:
    if _identity() != saved:
        raise CannotReset("the process has changed its user, group, session or process group")


def _umask(value: int) -> None:
    os.umask(value)


def _current_umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


ENVIRONMENT = Reset("environment", _save_environment, _restore_environment)
WORKING_DIRECTORY = knobs("working directory", (os.getcwd, os.chdir))
UMASK = Reset("umask", _current_umask, _umask)
TIMERS = Reset("interval timers", lambda: None, _stop_timers)
SIGNALS = Reset("signals", _save_signals, _restore_signals)
FAULTHANDLER = Reset("faulthandler", faulthandler.is_enabled, _restore_faulthandler)
LIMITS = Reset("resource limits", _save_limits, _restore_limits)
SCHEDULING = knobs(
    "scheduling",
    (lambda: os.getpriority(os.PRIO_PROCESS, 0), lambda value: os.setpriority(os.PRIO_PROCESS, 0, value)),
    (lambda: os.sched_getaffinity(0), lambda value: os.sched_setaffinity(0, value)),
)
IDENTITY = Reset("user and groups", _identity, _check_identity)
