"""Pause: stop a DAG from starting anything new, and let it go on; what runs already goes on in both."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orch.clock import from_micros
from orch.domain.ticks import due_ticks
from orch.domain.timetables import timetable_of
from orch.operations.actor import Actor
from orch.operations.perform import Done, Order, Services, perform
from orch.store.engine import Tx
from orch.store.queries import cursors, pauses, reading, run_creation

MOST_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class PauseResult:
    """What became of the DAG."""

    dag_id: str
    is_paused: bool
    changed: bool
    """False when it was so before."""
    due: Sequence[datetime] = ()
    """Ticks whose runs an unpaused DAG gets at once, at most 1,000."""


def pause(services: Services, actor: Actor, dag_id: str) -> PauseResult:
    """From now on no scheduled run is made and nothing is queued; NotFound for an unknown DAG."""
    return _set(services, actor, dag_id, is_paused=True)


def unpause(services: Services, actor: Actor, dag_id: str) -> PauseResult:
    """Let it go on; the result names the ticks that are due at once."""
    return _set(services, actor, dag_id, is_paused=False)


def due_when_unpaused(tx: Tx, dag_id: str) -> tuple[datetime, ...]:
    """Return the ticks that are due now, as an unpaused DAG gets them; nothing is written."""
    reading.find_dag(tx, dag_id)
    dag = run_creation.find_dag(tx, dag_id)
    cursor = None if dag is None else cursors.of_any(tx, dag.dag_pk)
    if dag is None or cursor is None:
        return ()
    now = from_micros(tx.now)
    spec = dag.spec
    return due_ticks(timetable_of(spec), cursor, now, catchup=spec.catchup, most=MOST_SHOWN).ticks


def _set(services: Services, actor: Actor, dag_id: str, *, is_paused: bool) -> PauseResult:
    action = "dag.pause" if is_paused else "dag.unpause"

    def act(tx: Tx) -> Done[PauseResult]:
        due = () if is_paused else due_when_unpaused(tx, dag_id)
        row = reading.find_dag(tx, dag_id)
        changed = pauses.set_paused(tx, row.dag_pk, dag_id, is_paused=is_paused)
        return Done(PauseResult(dag_id, is_paused, changed, due), {"changed": changed})

    return perform(services, Order(actor, action, dag_id, "pause"), act)
