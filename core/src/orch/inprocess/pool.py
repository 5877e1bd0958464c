"""The pool: raw threads that claim, run and report, and the list of which of them runs what."""

import itertools
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from orch.authoring.operator import BaseOperator
from orch.clock import monotonic
from orch.inprocess.execution import REFUSED, Claim, Execution
from orch.inprocess.performer import Perform
from orch.inprocess.rows import AttemptKey


@dataclass(frozen=True, slots=True)
class Stuck:
    """A thread that would not end."""

    thread: str
    task_id: str
    place: str
    """File, line and function where it is."""


class Worker(threading.Thread):
    """One thread: claim, run, report, until there is nothing more or a report is refused.

    A refused report means that the attempt was given to somebody else, who may have got a thread of his own for
    it; so this one leaves. It is a daemon, because nothing can end it from outside and the interpreter shall be
    able to exit all the same; the pool joins it nevertheless.
    """

    def __init__(
        self, name: str, execution: Execution, perform: Perform, after: Callable[[], None],
        broken: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        super().__init__(name=name, daemon=True)
        self._execution = execution
        self._perform = perform
        self._after = after
        self._broken = broken
        self.claim: Claim | None = None
        """What it runs. None again before it reports, so that an attempt that has ended is never named."""
        self.operator: BaseOperator | None = None
        self.is_given_up = False

    def run(self) -> None:
        """Work until there is no more."""
        try:
            while (claim := self._execution.wait_and_claim(self.name)) is not None:
                if not self._work_on(claim):
                    return
        except BaseException as error:  # the edge of the thread: the run must learn of it
            self._broken(error)

    def _work_on(self, claim: Claim) -> bool:
        self.operator, self.claim = None, claim
        outcome = self._perform(claim, self._ready)
        self.claim = None
        answer = self._execution.report(claim.key, claim.nonce, outcome)
        if answer == REFUSED:
            return False
        self._after()
        return True

    def _ready(self, operator: BaseOperator) -> None:
        self.operator = operator


class Pool:
    """At most `size` threads that count; those that were given up are replaced and remembered."""

    def __init__(
        self,
        size: int,
        execution: Execution,
        perform: Perform,
        after: Callable[[], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._size = size
        self._execution = execution
        self._perform = perform
        self._after = after
        self._broken = broken
        self._numbers = itertools.count(1)
        self._workers: list[Worker] = []
        self._killers: list[threading.Thread] = []

    def fill(self) -> None:
        """Start threads until `size` of them are alive and not given up."""
        alive = sum(worker.is_alive() and not worker.is_given_up for worker in self._workers)
        for _ in range(self._size - alive):
            worker = Worker(
                f"orch-{next(self._numbers)}", self._execution, self._perform, self._after, self._broken
            )
            self._workers.append(worker)
            worker.start()

    def named(self) -> list[AttemptKey]:
        """Return the attempts that living threads are running: the heartbeat of those threads."""
        claims = [worker.claim for worker in self._workers if worker.is_alive() and not worker.is_given_up]
        return [claim.key for claim in claims if claim is not None]

    def give_up(self, key: AttemptKey) -> None:
        """Call `on_kill` for an attempt that is over for the store, and count its thread no more.

        That is all one can do: code that does not end by itself goes on, and what it reports is refused.
        """
        for worker in self._workers:
            claim = worker.claim
            if claim is not None and claim.key == key and not worker.is_given_up:
                worker.is_given_up = True
                if worker.operator is not None:
                    self._kill(worker.operator)

    def join(self, seconds: float) -> list[Stuck]:
        """Wait for all threads, `seconds` at most; return those that run on."""
        give_up_at = monotonic() + seconds
        for thread in [*self._workers, *self._killers]:
            thread.join(max(0.0, give_up_at - monotonic()))
        return [_stuck(worker) for worker in self._workers if worker.is_alive()]

    def _kill(self, operator: BaseOperator) -> None:
        """Call `on_kill` in a thread of its own: it is user code, and may hang like any other."""
        killer = threading.Thread(
            target=_call_on_kill, args=(operator,), name=f"orch-kill-{operator.task_id}", daemon=True
        )
        self._killers.append(killer)
        killer.start()


def _call_on_kill(operator: BaseOperator) -> None:
    try:
        operator.on_kill()
    except Exception:  # the edge of foreign code; the attempt is over anyway
        traceback.print_exc()


def _stuck(worker: Worker) -> Stuck:
    claim = worker.claim
    frame = sys._current_frames().get(worker.ident or 0)  # noqa: SLF001 - documented, in spite of its name
    place = "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
    return Stuck(worker.name, "?" if claim is None else claim.task_id, place)
