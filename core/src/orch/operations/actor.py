"""The actor: who asks for an operation."""

import os
import pwd
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody or something that asks; `name` goes into the audit and the history."""

    name: str


def local_actor() -> Actor:
    """Return the user of the operating system that runs this process."""
    uid = os.geteuid()
    try:
        return Actor(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return Actor(f"uid-{uid}")
