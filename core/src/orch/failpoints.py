"""Failpoints: named places where a test can kill, pause or break a process on purpose."""

import os
import signal
import sys
from collections.abc import Mapping

from orch.errors import OrchError

TRANSACTIONS = (
    "register_dags",
    "create_run",
    "promote",
    "evaluate",
    "send",
    "claim",
    "report",
    "heartbeat",
    "rescue",
    "register_process",
    "release_process",
    "migrate",
    "audit",
    "pause",
    "pool",
    "backfill",
)
"""Every kind of write transaction; each has three failpoints."""

MOMENTS = ("begin", "before_commit", "after_commit")
EXTRA = ("layout.before_rename", "send.before", "send.after", "task.before_user_code", "task.after_user_code")
FAILPOINTS = tuple(f"{name}.{moment}" for name in TRANSACTIONS for moment in MOMENTS) + EXTRA
ACTIONS = ("kill", "pause", "error")


class FailpointError(OrchError):
    """A failpoint raised this error because a test asked for it."""


class Failpoints:
    """The failpoints that this process has armed; empty outside of tests."""

    def __init__(self, armed: Mapping[str, str] | None = None, once_marker: str | None = None) -> None:
        self._armed = dict(armed or {})
        self._once_marker = once_marker
        for name, action in self._armed.items():
            if name not in FAILPOINTS:
                raise ValueError(f"unknown failpoint {name!r}; known: {', '.join(FAILPOINTS)}")
            if action not in ACTIONS:
                raise ValueError(f"failpoint {name!r}: action {action!r} is not one of {', '.join(ACTIONS)}")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Failpoints":
        """Read `ORCH_FAILPOINT=name:action[,name:action]`; without `ORCH_TESTING=1` it is ignored.

        `ORCH_FAILPOINT_ONCE` names a file: the first hit of all processes creates it, later ones pass.
        """
        text = environ.get("ORCH_FAILPOINT", "")
        if not text or environ.get("ORCH_TESTING") != "1":
            return cls()
        pairs = (item.partition(":") for item in text.split(",") if item)
        return cls({name: action for name, _, action in pairs}, environ.get("ORCH_FAILPOINT_ONCE"))

    def hit(self, name: str) -> None:
        """Do what the test asked for at this place; nothing when it asked for nothing."""
        if self._armed and (action := self._armed.get(name)) and self._first():
            sys.stderr.write(f"failpoint {name}: {action}\n")
            sys.stderr.flush()
            if action == "error":
                raise FailpointError(f"failpoint {name}")
            os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)

    def _first(self) -> bool:
        if self._once_marker is None:
            return True
        try:
            os.close(os.open(self._once_marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True
