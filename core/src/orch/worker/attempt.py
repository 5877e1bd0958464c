"""One attempt as its worker sees it: from the claim to the one outcome that is reported."""

import math
import os
import signal
from dataclasses import replace
from enum import Enum
from typing import Any, Protocol

from orch.clock import monotonic, system_clock
from orch.errors import BadInput
from orch.runner.command import TaskCommand
from orch.runner.host_wire import MAX_TEXT_BYTES
from orch.runner.outcome import Outcome, is_storable
from orch.store.execution import AttemptReport, Claimed
from orch.worker.host_process import HostProcess
from orch.worker.logs import AttemptLog
from orch.worker.options import WorkerOptions
from orch.worker.task_process import TaskProcess

MOST_RETURNS = 100
"""Processes that an attempt waits for in vain until it is handed back."""


class Fate(Enum):
    """What becomes of an attempt when its process ends."""

    OWN = "own"
    """Its own outcome is reported."""
    TIMED_OUT = "timed_out"
    """It ran too long and did not end itself."""
    BROKEN = "broken"
    """It sent nonsense in place of an outcome."""
    LOST = "lost"
    """Its host has ended under it: it is given back as an infrastructure loss."""
    INTERRUPTED = "interrupted"
    """The worker stops: a success is reported, all else is handed back."""
    REVOKED = "revoked"
    """The store has taken it back: nothing is reported."""


class Desk(Protocol):
    """The worker, to which an attempt brings what must go to the store."""

    def ask(self, attempt: "Attempt", question: dict[str, Any]) -> None:
        """Answer a question of its task process."""

    def report(self, report: AttemptReport) -> None:
        """An attempt has ended so."""

    def hand_back(self, attempt: "Attempt") -> None:
        """It has ended, or never begun, because of the worker."""

    def lose(self, attempt: "Attempt") -> None:
        """It has ended because its host did, which no task is to blame for."""

    def drop(self) -> None:
        """An attempt has ended and nobody wants to know."""


class Attempt:
    """An attempt under way. Exactly one of the desk's `report`, `hand_back`, `lose` and `drop` is called, once."""

    def __init__(self, claimed: Claimed, log: AttemptLog, options: WorkerOptions, desk: Desk) -> None:
        self.claimed = claimed
        self.key = (claimed.ti_id, claimed.epoch)
        self.process: TaskProcess | None = None
        self.has_ended = False
        """True once the desk has been told."""
        self.nonce = claimed.nonce
        self.is_reusable = (claimed.spec.isolation or options.isolation) == "reuse"
        """True when it may share a task process with attempts before and after it."""
        self._host: HostProcess | None = None
        self._log = log
        self._options = options
        self._desk = desk
        self._fate = Fate.OWN
        self._why = ""
        self._started_at = system_clock()
        self._timeout_at: float | None = None
        self._kill_at: float | None = None
        self._give_up_at: float | None = None
        self._returns = 0

    @property
    def is_revoked(self) -> bool:
        """True when this worker has no right to it any more."""
        return self._fate is Fate.REVOKED

    # The way in

    def run_on(self, host: HostProcess) -> None:
        """Run it on a host."""
        self._host = host
        if self.claimed.inputs or self.claimed.conf:
            size = len(self.command().encode("utf-8", "surrogatepass"))
            if size > MAX_TEXT_BYTES:
                error = f"its command has {size:,} bytes, most of them the run's conf; hand over a path or an id there"
                self._end(replace(self._failed(error, "xcom_refused"), retryable=False), None)
                return
        host.run(self)

    def command(self) -> str:
        """Return the JSON of its task command, which may be megabytes."""
        return task_command(self.claimed, self._options).to_json()

    def on_begin(self, process: TaskProcess) -> None:
        """Remember who runs it, and since when."""
        self.process = process
        self._started_at = system_clock()
        if (limit := self.claimed.spec.execution_timeout_seconds) is not None:
            # The task process ends it itself; this is for one that is stopped, stuck in C code, or deaf.
            self._timeout_at = monotonic() + limit + self._options.kill_grace_seconds

    def on_returned(self) -> None:
        """Wait for another process; after many in vain, let another worker, or another time, try."""
        self.process = None
        self._timeout_at = None
        self._returns += 1
        if self._returns > MOST_RETURNS:
            self.interrupt()

    # What its process does

    def on_output(self, stream: str, data: bytes) -> None:
        """Write it to the log."""
        self._log.feed(stream, data)

    def on_question(self, question: dict[str, Any]) -> None:
        """Pass it on."""
        if _is_question(question):
            self._desk.ask(self, question)
        else:
            self.on_nonsense("not a question for an XCom")

    def on_outcome(self, text: str, *, ends: bool) -> bool:
        """End with it; the process is free for others unless it ends."""
        if self._fate is Fate.BROKEN:
            return False
        try:
            outcome = Outcome.from_json(text)
        except BadInput as error:
            self.on_nonsense(str(error))
            return False
        if self._host is not None:
            self._host.note_pace(
                math.inf if ends else (outcome.ended_at - outcome.started_at).total_seconds()
            )
        self._end(outcome, None)
        if not ends:
            self.process = self._timeout_at = self._kill_at = self._give_up_at = None
        return True

    def on_nonsense(self, error: str) -> None:
        """Kill it: user code has written to the channel."""
        self._set_fate(Fate.BROKEN, f"its task process broke the protocol: {error}")
        self._kill()

    def on_end(self, words: str) -> None:
        """End without an outcome, unless there was one."""
        self._end(self._lost(words), words)
        self.process = None

    def on_lost(self, words: str) -> None:
        """Give it back, unless it has ended already or was being ended: then that counts."""
        if self._fate is Fate.OWN:
            self._set_fate(Fate.LOST, "")
        self.on_end(words)

    def on_import_failed(self, error: str, traceback: str | None) -> None:
        """Fail with the traceback of the DAG file."""
        self._end(self._failed(error, "dag_import_failed", traceback), None)

    def on_no_process(self, why: str) -> None:
        """Give it back: another time, or another worker, has room."""
        self._set_fate(Fate.INTERRUPTED, why)
        self._end(self._failed(why, None), None)

    # Orders

    def revoke(self, why: str = "") -> None:
        """Kill it; what it says from now on does not count. The second time nothing happens.

        `why` is for its log.
        """
        if self.is_revoked:
            return
        self._set_fate(Fate.REVOKED, why)
        if not self._withdraw():
            self._terminate()

    def interrupt(self) -> None:
        """End it for a stop of the worker; a second call kills it."""
        if self._fate is Fate.INTERRUPTED:
            self._kill()
        else:
            self._set_fate(Fate.INTERRUPTED, "")
            if not self._withdraw():
                self._terminate()

    def withdraw(self) -> None:
        """Hand it back when it has not begun; let it go on otherwise."""
        if self.process is None and self._host is not None and self._host.withdraw(self):
            self._set_fate(Fate.INTERRUPTED, "")
            self._end(self._failed("it had not begun", None), None)

    def check(self, now: float) -> None:
        """Do what is due: end what runs too long, kill what did not end."""
        if self._timeout_at is not None and now >= self._timeout_at and not self.has_ended:
            self._timeout_at = None
            limit = f"{self.claimed.spec.execution_timeout_seconds:g} s"
            self._set_fate(
                Fate.TIMED_OUT, f"it ran longer than its execution_timeout of {limit} and did not end"
            )
            self._terminate()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill()
        elif self._give_up_at is not None and now >= self._give_up_at:
            self._give_up()

    def next_check(self) -> float | None:
        """Return when `check` is due."""
        moments = (self._timeout_at, self._kill_at, self._give_up_at)
        return min((moment for moment in moments if moment is not None), default=None)

    def _set_fate(self, fate: Fate, why: str) -> None:
        if self._fate is not Fate.REVOKED:
            self._fate, self._why = fate, why

    def _withdraw(self) -> bool:
        if self._host is None or self.process is not None or not self._host.withdraw(self):
            return False
        self._end(self._failed("it had not begun", None), None)
        return True

    def _terminate(self) -> None:
        self._signal(signal.SIGTERM)
        if self.process is not None:  # else it has just ended by itself
            self._kill_at = monotonic() + self._options.kill_grace_seconds

    def _kill(self) -> None:
        self._kill_at = None
        self._give_up_at = monotonic() + self._options.kill_grace_seconds
        self._signal(signal.SIGKILL)

    def _give_up(self) -> None:
        """SIGKILL has not helped: the process hangs in the kernel, or its host does not pass signals on."""
        self._give_up_at = None
        if self.process is None or self._host is None:
            return
        if self.process.was_signalled:
            self.process.abandon()
            self.on_end(f"no end within {self._options.kill_grace_seconds:g} s of SIGKILL")
        else:
            self._host.destroy()

    def _signal(self, number: int) -> None:
        if self._host is not None and self.process is not None:
            self._host.kill(self.process, number)

    # The end

    def _end(self, outcome: Outcome, exit_words: str | None) -> None:
        if self.has_ended:
            return
        self.has_ended = True
        if self.process is not None:
            self._timeout_at, self._kill_at = None, monotonic() + self._options.kill_grace_seconds
        if self._fate is Fate.REVOKED:
            if self._why:
                self._log.note(self._why)
            self._log.close("revoked")
            self._desk.drop()
        elif self._fate is Fate.INTERRUPTED and outcome.kind != "success":
            self._log.close("interrupted")
            self._desk.hand_back(self)
        elif self._fate is Fate.LOST:
            self._log.note(outcome.error or "lost")
            self._log.close("lost")
            self._desk.lose(self)
        elif self._fate is Fate.TIMED_OUT and outcome.kind != "success":
            self._report(replace(outcome, error=self._why, reason="execution_timeout"), exit_words)
        else:
            self._report(outcome, exit_words)

    def _report(self, outcome: Outcome, exit_words: str | None) -> None:
        outcome = self._as_authored(outcome)
        if outcome.kind == "failed":
            self._log.note(outcome.traceback or outcome.error or "failed")
        self._log.close(outcome.kind)
        mine = self.claimed
        stored = outcome if outcome.traceback is None else replace(outcome, traceback=None)
        self._desk.report(
            AttemptReport(mine.ti_id, mine.epoch, mine.nonce, stored, exit_words, str(self._log.name))
        )

    def _as_authored(self, outcome: Outcome) -> Outcome:
        """Return the outcome with the author's files in its texts, where a layout of them was run."""
        if self.claimed.bundle is None or outcome.kind == "success":
            return outcome
        layout = self._options.bundles_folder / self.claimed.bundle
        for folder in dict.fromkeys((str(layout), str(layout.resolve()))):
            error, trace = (
                text and text.replace(folder, str(self._options.dags_folder))
                for text in (outcome.error, outcome.traceback)
            )
            outcome = replace(outcome, error=error, traceback=trace)
        return outcome

    def _lost(self, words: str) -> Outcome:
        if self._fate is Fate.BROKEN:
            return self._failed(self._why, "killed")
        if words.startswith("exit code"):
            return self._failed(f"exited with {words.removeprefix('exit ')} without a result", "killed")
        return self._failed(f"killed by {words}", "killed")

    def _failed(self, error: str, reason: str | None, traceback: str | None = None) -> Outcome:
        return Outcome(
            kind="failed",
            started_at=self._started_at,
            ended_at=system_clock(),
            error=error,
            traceback=traceback,
            reason=reason,
        )


def task_command(claimed: Claimed, options: WorkerOptions) -> TaskCommand:
    """Return what the task process of an attempt is told."""
    return TaskCommand(
        ti_id=claimed.ti_id,
        epoch=claimed.epoch,
        nonce=claimed.nonce,
        dag_id=claimed.dag_id,
        run_id=claimed.run_id,
        run_type=claimed.run_type,
        task_id=claimed.task_id,
        map_index=claimed.map_index,
        try_number=claimed.try_number,
        max_tries=claimed.max_tries,
        logical_date=claimed.logical_date,
        data_interval_start=claimed.data_interval_start,
        data_interval_end=claimed.data_interval_end,
        run_after=claimed.run_after,
        conf=claimed.conf,
        dag_file=os.path.join(options.dags_folder, claimed.dag_file),  # noqa: PTH118  # a tenth of Path's cost
        dags_folder=str(options.dags_folder),
        inputs=claimed.inputs,
        inputs_left_out=claimed.inputs_left_out,
        execution_timeout_seconds=claimed.spec.execution_timeout_seconds,
        xcom_max_bytes=options.xcom_max_bytes,
    )


def _is_question(question: dict[str, Any]) -> bool:
    """Tell whether a question can be asked of a database: user code can write to the channel too."""
    map_index = question.get("map_index", -1)
    return (
        is_storable(question.get("task_id"))
        and is_storable(question.get("key"))
        and isinstance(question.get("id"), int)
        and isinstance(map_index, int)
        and -1 <= map_index < 2**31
    )
