"""The place where an operation is allowed or refused."""

from orch.errors import Conflict
from orch.operations.actor import Actor


class Forbidden(Conflict):
    """The actor may not do this."""


def authorise(actor: Actor, action: str, target: str) -> None:
    """Return when the actor may do this to the target; raise Forbidden otherwise.

    Whoever can open the home folder may do everything in it: the file system has decided already.
    """
    if not actor.name:
        raise Forbidden(f"{action} of {target} needs an actor with a name")
