"""The past desk: reads for decisions what the run before says, and keeps who waits for whom."""

from collections.abc import Collection
from functools import partial

from orch.domain.decide import Decision
from orch.domain.past import PASSED
from orch.domain.run_view import RunView
from orch.store.engine import Tx
from orch.store.queries import pasts, waiters
from orch.store.queries.pasts import FormerRun
from orch.store.specs import SpecCache


class PastDesk:
    """Serves one evaluator. What it remembers is of runs whose views the evaluator keeps."""

    def __init__(self, specs: SpecCache) -> None:
        self._specs = specs
        self._waits_for: dict[int, int | None] = {}
        """Which run each viewed run waits for, as its waiter row says; missing when that was not looked at."""
        self._former: dict[int, FormerRun | None] = {}
        self._somebody_waits: bool | None = None

    def begin(self) -> None:
        """Begin a transaction: whether somebody waits is asked anew, at most once."""
        self._somebody_waits = None

    def drop(self, run_pk: int) -> None:
        """Forget a run whose view is dropped."""
        self._waits_for.pop(run_pk, None)
        self._former.pop(run_pk, None)

    def forget(self) -> None:
        """Forget everything, after a transaction that was rolled back."""
        self._waits_for.clear()
        self._former.clear()

    def answer(self, tx: Tx, view: RunView, asks: Collection[int]) -> None:
        """Tell the view what its task instances at these positions find in the run before, as `tx` sees it."""
        former = self._former[view.run_pk] = pasts.run_before(tx, view.run_pk)
        facts = {position: view.tasks[position].facts for position in sorted(asks)}
        keys = {position: (one.task_id, one.map_index) for position, one in facts.items()}
        deep = {
            one.task_id for position, one in facts.items() if view.tasks[position].spec.wait_for_downstream
        }
        found = pasts.pasts_of(tx, former, keys.values(), deep, partial(self._specs.get, tx))
        for position, key in keys.items():
            view.tell_past(position, found[key])

    def note_holds(self, tx: Tx, view: RunView, decision: Decision) -> None:
        """Write why tasks are held back, and let the run wait for the one before it as long as any is."""
        if not view.needs_past:
            return
        waiters.set_reasons(
            tx, [(view.tasks[position].facts.ti_id, reason) for position, reason in decision.holds.items()]
        )
        former = self._former.get(view.run_pk) if view.held else None
        wanted = former.run_pk if former is not None else None
        if self._waits_for.get(view.run_pk, -1) != wanted:
            waiters.wait_for(tx, view.run_pk, wanted)
            self._waits_for[view.run_pk] = wanted
            if wanted is not None:
                self._somebody_waits = True

    def wake_waiters(self, tx: Tx, view: RunView, named: Collection[int], decision: Decision) -> None:
        """Wake those who wait for tasks of this run that have passed: it says so itself, or the decision ends them.

        The end of the run wakes all who wait for it: a run of the same date then has another one before it.
        """
        if not self._anybody_waits(tx):
            return
        if decision.run_state is not None:
            woken = {task.facts.task_id for task in view.tasks}
        else:
            woken = _woken_by(view, named, decision)
        if woken:
            waiters.wake_waiters(tx, view.run_pk, woken)

    def _anybody_waits(self, tx: Tx) -> bool:
        if self._somebody_waits is None:
            self._somebody_waits = waiters.anybody_waits(tx)
        return self._somebody_waits


def _woken_by(view: RunView, named: Collection[int], decision: Decision) -> set[str]:
    """Return the tasks that have passed, and those directly upstream: they may wait for what is downstream."""
    positions = {view.position_of(ti_id) for ti_id in named} | {move.position for move in decision.moves}
    passed = [view.tasks[position] for position in positions if position is not None]
    passed = [task for task in passed if task.facts.state in PASSED]
    return {task.facts.task_id for task in passed}.union(*(task.spec.upstream for task in passed))
