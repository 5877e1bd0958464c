"""How every operation runs: one transaction that authorises, acts and leaves an audit row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from orch.domain.dagspec import DagSpec
from orch.domain.timetables import DagTimetable, timetable_of
from orch.errors import OrchError, StoreError
from orch.operations.actor import Actor
from orch.operations.authorise import authorise
from orch.store.engine import Store, Tx
from orch.store.queries import audit

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Services:
    """What operations work with; made once by `orch.app`."""

    store: Store
    default_executor: str
    wake: Callable[[], None] = lambda: None
    """Tells live schedulers that there is something new; a hint that may be lost."""
    timetable_of: Callable[[DagSpec], DagTimetable] = timetable_of
    """Gives a serialised DAG its timetable; the default knows no kinds of plugins."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What an operation gave, and what its audit row says of it. No secret value belongs into `detail`."""

    result: T
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants what done to which thing."""

    actor: Actor
    action: str
    """`dag.trigger`: noun and verb."""
    target: str
    transaction: str
    """Name of the write transaction, for failpoints."""


def perform(services: Services, order: Order, act: Callable[[Tx], Done[T]]) -> T:
    """Do it whole or not at all and return its result; a refusal leaves an audit row as well."""

    def work(tx: Tx) -> T:
        authorise(order.actor, order.action, order.target)
        done = act(tx)
        _record(tx, order, "done", done.detail)
        return done.result

    try:
        result = services.store.transact(order.transaction, work)
    except StoreError:
        raise  # nothing can be written now
    except OrchError as refusal:
        text = str(refusal)
        services.store.transact("audit", lambda tx: _record(tx, order, "refused", {"error": text}))
        raise
    services.wake()
    return result


def _record(tx: Tx, order: Order, result: str, detail: Mapping[str, Any]) -> None:
    audit.record(tx, audit.Entry(order.actor.name, order.action, order.target, result, detail))
