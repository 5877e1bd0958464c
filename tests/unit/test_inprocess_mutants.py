"""Why the locks are there: mutants of the state store that lack one thing each, and what then goes wrong.

Each mutant is driven into its race by barriers, never by luck, and the real store is driven the same way.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.contract.scenarios import dag_of
from tests.integration.harness import FakeClock

from orch.domain.states import TaskState
from orch.inprocess import protocol
from orch.inprocess.decider import Decider
from orch.inprocess.execution import Execution
from orch.inprocess.invariants import find_broken
from orch.inprocess.locks import LockOrder, LockOrderBroken, OrderedLock, Rank
from orch.inprocess.rows import Move
from orch.inprocess.state_store import TaskStateStore

NOW = datetime(2024, 1, 1, tzinfo=UTC)
PATIENCE = 10.0
"""Seconds after which a barrier gives up: only ever reached when a test fails."""


class NoLock:
    """A lock that lets everybody in."""

    def acquire(self, blocking=True, timeout=-1):
        return True

    def release(self):
        return None

    def __enter__(self):
        return True

    def __exit__(self, *_):
        return None

    def _is_owned(self):
        return True


class WatchedLock(OrderedLock):
    """The real lock, which says when a thread finds it taken."""

    def __init__(self, rank, order, found_taken):
        super().__init__(rank, order)
        self._found_taken = found_taken

    def acquire(self, blocking=True, timeout=-1):
        if super().acquire(blocking=False):
            return True
        self._found_taken.set()
        return super().acquire(blocking, timeout)


class MeetingClock:
    """A clock at which two threads wait for each other each time they ask, as on a machine that is slow just there.

    The store asks between comparing and setting. A thread that a lock keeps out counts as having come, so that
    the real store is not stuck.
    """

    def __init__(self):
        self.kept_out = threading.Event()
        self._guard = threading.Lock()
        self._meetings: dict[int, threading.Event] = {}
        self._times: dict[int, int] = {}

    @property
    def visitors(self) -> int:
        """How many threads have come."""
        return len(self._times)

    def __call__(self) -> datetime:
        with self._guard:
            me = threading.get_ident()
            number = self._times[me] = self._times.get(me, 0) + 1
            is_first = number not in self._meetings
            meeting = self._meetings.setdefault(number, threading.Event())
        if not is_first:
            meeting.set()
        while not meeting.is_set() and not self.kept_out.is_set():
            meeting.wait(0.001)  # two events, and no way to wait for either of them
        return NOW


def together(*works: Callable[[], object]) -> list[object]:
    """Run each in a thread of its own; return what they returned, or the error that they raised."""
    results: list[object] = [None] * len(works)

    def run(number: int, work: Callable[[], object]) -> None:
        try:
            results[number] = work()
        except Exception as error:  # the test looks at it
            results[number] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE)
        assert not thread.is_alive()
    return results


# A lost update: comparing and setting without a lock around both


def skip_twice(make_lock: Callable[[Rank], object], clock: MeetingClock) -> tuple[list[object], list[str]]:
    """Let two threads skip the same task at once; return what each thinks it moved, and what is broken."""
    store = TaskStateStore(dag_of({"a": ""}), clock, make_lock)  # type: ignore[arg-type]  # mutants are no locks
    row = store.get(1)
    move = Move(row, replace(row, state=TaskState.SKIPPED))
    won = together(*[lambda: len(store.move([move], protocol.SCHEDULER))] * 2)
    return sorted(won, key=str), find_broken(store.snapshot())


def test_without_a_lock_both_threads_win_the_same_move_and_an_update_is_lost():
    won, broken = skip_twice(lambda _: NoLock(), MeetingClock())
    assert won == [1, 1]
    assert "I1 a: versions [1, 1], the row has 1" in broken


def test_with_the_lock_one_thread_wins():
    clock, order = MeetingClock(), LockOrder()
    won, broken = skip_twice(lambda rank: WatchedLock(rank, order, clock.kept_out), clock)
    assert won == [0, 1]
    assert clock.visitors == 1
    assert [sentence for sentence in broken if not sentence.startswith("I14")] == []  # nobody ended the run


# A double start: the same race at the claim, where it runs user code twice


def claim_twice(make_lock: Callable[[Rank], object], clock: MeetingClock) -> list[object]:
    now = FakeClock()
    store = TaskStateStore(dag_of({"a": ""}), now, make_lock)  # type: ignore[arg-type]  # mutants are no locks
    decider = Decider(store, {}, now, LockOrder())
    decider.start()
    decider.step()
    execution = Execution(store)
    store._tables.clock = clock
    claims = together(lambda: execution.claim("one"), lambda: execution.claim("two"))
    return [claim.task_id for claim in claims if claim is not None]  # type: ignore[attr-defined]  # it is a Claim


def test_without_a_lock_a_task_is_started_twice():
    assert claim_twice(lambda _: NoLock(), MeetingClock()) == ["a", "a"]


def test_with_the_lock_a_task_is_started_once():
    clock, order = MeetingClock(), LockOrder()
    assert claim_twice(lambda rank: WatchedLock(rank, order, clock.kept_out), clock) == ["a"]


# A deadlock: two locks in opposite order


class BackwardsStore(TaskStateStore):
    """Takes the run lock inside the states lock, as a helper that "just quickly looks at the run" might."""

    run_lock: object

    def note_end(self):
        with self.locked(), self.run_lock:  # type: ignore[attr-defined]  # set by the test
            return "noted"


def test_the_lock_order_finds_the_backwards_store_without_a_second_thread():
    order = LockOrder()
    store = BackwardsStore(dag_of({"a": ""}), FakeClock(), order)
    store.run_lock = order(Rank.RUN)
    with pytest.raises(LockOrderBroken, match="takes RUN while it holds STATES"):
        store.note_end()


class WaitForGraph:
    """Who holds which lock, and who waits for which; a circle in it is a deadlock, found before anybody hangs."""

    def __init__(self):
        self._guard = threading.Lock()
        self._holder: dict[str, int] = {}
        self._waits: dict[int, str] = {}

    def lock(self, name: str) -> "GraphLock":
        return GraphLock(name, self)

    def wait(self, name: str) -> list[str]:
        """Note that this thread waits for a lock; return the names on the circle that this closes, if it does."""
        with self._guard:
            me = threading.get_ident()
            self._waits[me] = name
            path, wanted = [name], self._holder.get(name)
            while wanted is not None and wanted != me:
                if (following := self._waits.get(wanted)) is None:
                    return []
                path.append(following)
                wanted = self._holder.get(following)
            return path if wanted == me else []

    def took(self, name: str) -> None:
        with self._guard:
            self._waits.pop(threading.get_ident(), None)
            self._holder[name] = threading.get_ident()

    def gave(self, name: str) -> None:
        with self._guard:
            self._holder.pop(name, None)

    def gave_up(self) -> None:
        with self._guard:
            self._waits.pop(threading.get_ident(), None)


class Deadlock(Exception):
    pass


class GraphLock:
    """A lock that would rather raise than complete a circle."""

    def __init__(self, name: str, graph: WaitForGraph) -> None:
        self._name, self._graph, self._lock = name, graph, threading.Lock()

    def acquire(self, blocking=True, timeout=-1):
        if not self._lock.acquire(blocking=False):
            if circle := self._graph.wait(self._name):
                self._graph.gave_up()
                raise Deadlock(" -> ".join([*circle, circle[0]]))
            self._lock.acquire()
        self._graph.took(self._name)
        return True

    def release(self):
        self._graph.gave(self._name)
        self._lock.release()

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *_):
        self.release()


def take(first: GraphLock, second: GraphLock, both_hold_one: threading.Barrier) -> str:
    with first:
        both_hold_one.wait(PATIENCE)
        with second:
            return "done"


def test_two_locks_in_opposite_order_deadlock():
    graph, barrier = WaitForGraph(), threading.Barrier(2)
    run, states = graph.lock("run"), graph.lock("states")
    results = together(lambda: take(run, states, barrier), lambda: take(states, run, barrier))
    (deadlock,) = (result for result in results if isinstance(result, Deadlock))
    assert str(deadlock) in {"run -> states -> run", "states -> run -> states"}
    assert "done" in results  # the other one goes on as soon as one of them gives way


def test_the_deadlock_is_real_neither_thread_can_ever_have_its_second_lock():
    run, states, barrier = threading.Lock(), threading.Lock(), threading.Barrier(2)

    def hold(first: threading.Lock, second: threading.Lock) -> bool:
        with first:
            barrier.wait(PATIENCE)  # each holds one
            got = second.acquire(blocking=False)
            barrier.wait(PATIENCE)  # nobody lets go before both have tried
            return got

    assert together(lambda: hold(run, states), lambda: hold(states, run)) == [False, False]


def test_one_order_for_all_cannot_deadlock():
    graph, taken = WaitForGraph(), threading.Barrier(1)
    run, states = graph.lock("run"), graph.lock("states")
    assert together(*[lambda: take(run, states, taken)] * 2) == ["done", "done"]


# A missed wake-up: notifying, or looking, without the lock


class HastyStore(TaskStateStore):
    """Looks whether there is work before it takes the lock, and notifies nobody who is not waiting yet."""

    def __init__(self, *args):
        super().__init__(*args)
        self.has_looked, self.may_wait = threading.Event(), threading.Event()

    def wait_for_work_hastily(self) -> str:
        if self._has_work():
            return "there is work"
        self.has_looked.set()
        assert self.may_wait.wait(PATIENCE)  # here the other thread queues something and notifies
        with self._lock:
            woken = self._work.wait(timeout=0)  # with no timeout it would be for ever
            return "woken" if woken else f"asleep with work: {self._has_work()}"


def queue_one(store: TaskStateStore) -> None:
    clock = FakeClock()
    decider = Decider(store, {}, clock, LockOrder())
    decider.start()
    decider.step()


def test_who_looks_without_the_lock_misses_the_wake_up():
    store = HastyStore(dag_of({"a": ""}), FakeClock())

    def work() -> None:
        assert store.has_looked.wait(PATIENCE)
        queue_one(store)
        store.may_wait.set()

    assert together(store.wait_for_work_hastily, work)[0] == "asleep with work: True"


class PausingStore(TaskStateStore):
    """The real way to wait, with a pause between looking and waiting."""

    def __init__(self, *args):
        super().__init__(*args)
        self.has_looked, self.goes_on = threading.Event(), threading.Event()

    def _has_work(self):
        found = super()._has_work()
        if not self.has_looked.is_set():
            self.has_looked.set()
            assert self.goes_on.wait(PATIENCE)
        return found


def test_who_notifies_without_the_lock_wakes_nobody():
    store = PausingStore(dag_of({"a": ""}), FakeClock(), lambda _: NoLock())

    def look_and_wait() -> object:
        return store._has_work() or store._work.wait(timeout=0)

    def work() -> None:
        assert store.has_looked.wait(PATIENCE)
        queue_one(store)
        store.goes_on.set()

    woken, _ = together(look_and_wait, work)
    assert woken is False
    assert store._tables.dispatch  # there is work, and the only thread sleeps


def test_with_the_lock_the_wake_up_waits_for_the_waiter():
    order = LockOrder()
    store: PausingStore
    kept_out = threading.Event()
    store = PausingStore(dag_of({"a": ""}), FakeClock(), lambda rank: WatchedLock(rank, order, kept_out))

    def work() -> None:
        assert store.has_looked.wait(PATIENCE)
        queue_one(store)

    def let_go() -> None:
        assert kept_out.wait(PATIENCE)  # the notifier stands before the lock that the waiter holds
        store.goes_on.set()

    claim, _, _ = together(lambda: Execution(store).wait_and_claim("one"), work, let_go)
    assert claim.task_id == "a"  # type: ignore[attr-defined]  # it is a Claim
