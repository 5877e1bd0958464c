"""Processes of one host: who dies with whom, locks that prove life, signals as descriptors, and a supervisor."""

from orch.processes.lineage import (
    become_subreaper,
    boot_id,
    children,
    die_with_parent,
    end_strangers,
    kill_strangers,
    outlive_parent,
)
from orch.processes.lockfile import LockFile
from orch.processes.signals import SignalPipe, StopSignal, describe_exit
from orch.processes.supervisor import Component, ComponentEvent, Supervisor

__all__ = [
    "Component",
    "ComponentEvent",
    "LockFile",
    "SignalPipe",
    "StopSignal",
    "Supervisor",
    "become_subreaper",
    "boot_id",
    "children",
    "describe_exit",
    "die_with_parent",
    "end_strangers",
    "kill_strangers",
    "outlive_parent",
]
