"""Signals: what user code raises to tell orch how its task shall end."""

from orch.errors import OrchError


class Skip(OrchError):
    """The task skipped itself."""


class Fail(OrchError):
    """The task failed, and trying again cannot help."""
