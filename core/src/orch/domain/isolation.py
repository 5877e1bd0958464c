"""Isolation: what a task shares its process with."""

from enum import StrEnum


class Isolation(StrEnum):
    """How a task gets its process."""

    REUSE = "reuse"
    """One that has run other tasks of the DAG file and was reset after each."""
    FORK = "fork"
    """A fresh one, which ends with the task."""
