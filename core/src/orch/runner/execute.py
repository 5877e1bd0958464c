"""One attempt, start to end: inputs, user code, result; whatever happens becomes an outcome."""

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from orch.authoring.inputs import resolve_inputs
from orch.authoring.operator import BaseOperator
from orch.authoring.signals import Fail, Skip
from orch.authoring.xcomarg import RETURN_KEY, XComArg
from orch.clock import Clock, system_clock
from orch.errors import XComError
from orch.failpoints import Failpoints
from orch.runner import xcom
from orch.runner.channel import Channel
from orch.runner.command import TaskCommand
from orch.runner.context import TaskInstance, build_context, running_in
from orch.runner.failure import line, one_line, traceback_text
from orch.runner.interrupt import TIMEOUT, Interrupted, interruptions
from orch.runner.outcome import Outcome


def run_attempt(
    command: TaskCommand,
    operator: BaseOperator,
    channel: Channel,
    failpoints: Failpoints,
    clock: Clock = system_clock,
    *,
    ready: Callable[[BaseOperator], None] | None = None,
    passing: tuple[type[BaseException], ...] = (),
) -> Outcome:
    """Run the user code of one attempt and return how it ended; never raises because of user code.

    `operator` is the task as its DAG file defines it, and stays as it is. In the main thread, the execution
    timeout and SIGTERM interrupt user code; both call `on_kill`. `ready` is given the copy whose `execute` comes
    next, for a caller that may have to call `on_kill` from another thread. Errors of the types `passing` are not
    taken for the end of the attempt and reach the caller.
    """
    attempt = _Attempt(command, operator, channel, failpoints, clock, ready, passing)
    outcome = attempt.run()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # user code may have closed it
            stream.flush()
    return outcome


@dataclass
class _Stamps:
    clock: Clock
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @contextlib.contextmanager
    def around(self) -> Iterator[None]:
        self.started_at = self.clock()
        try:
            yield
        finally:
            self.ended_at = self.clock()

    def both(self) -> tuple[datetime, datetime]:
        """Return start and end; both are now when user code was not reached, and time never runs backwards."""
        started_at = self.started_at or self.clock()
        return started_at, max(started_at, self.ended_at or started_at)


class _Attempt:
    def __init__(
        self,
        command: TaskCommand,
        operator: BaseOperator,
        channel: Channel,
        failpoints: Failpoints,
        clock: Clock,
        ready: Callable[[BaseOperator], None] | None,
        passing: tuple[type[BaseException], ...],
    ) -> None:
        self.command = command
        self.task = operator
        self.ready = ready
        self.passing = passing
        self.failpoints = failpoints
        self.ti = TaskInstance(command, channel, partial(_task_ids, operator))
        self.stamps = _Stamps(clock)

    def run(self) -> Outcome:
        try:
            with interruptions(self.command.execution_timeout_seconds) as interruption:
                outcome = self._guarded()
                if interruption.reason is not None and outcome.reason != interruption.reason:
                    # User code swallowed the exception.
                    outcome = self._interrupted(interruption.reason, None)
            return outcome
        except Interrupted as late:  # it came between the end of user code and the block's
            return self._interrupted(late.reason, late)

    def _guarded(self) -> Outcome:
        try:
            return self._success(self._user_code())
        except self.passing:
            raise
        except Skip as skip:
            return self._outcome("skipped", error=line(str(skip)), reason="skipped_by_task")
        except Fail as error:
            return self._failed(error, retryable=False, reason="failed_for_good", message=line(str(error)))
        except XComError as error:
            return self._failed(error, retryable=False, reason="xcom_refused", message=line(str(error)))
        except Interrupted as interrupted:
            return self._interrupted(interrupted.reason, interrupted)
        except SystemExit as error:
            message = f"the task ended the interpreter with sys.exit({error.code!r}); return, or raise Fail, instead"
            return self._failed(error, message=line(message))
        except BaseException as error:  # the edge of foreign code: nothing may pass it
            return self._failed(error)

    def _user_code(self) -> Any:
        self.task = resolve_inputs(self.task, self._value_of)
        if self.ready is not None:
            self.ready(self.task)
        context = build_context(self.command, self.task, self.ti)
        self.failpoints.hit("task.before_user_code")
        with running_in(context), self.stamps.around():
            self.task.pre_execute(context)
            result = self.task.execute(context)
            self.task.post_execute(context, result)
        self.failpoints.hit("task.after_user_code")
        return result

    def _value_of(self, argument: XComArg) -> Any:
        text = self.ti.xcom_text(argument.operator.task_id, argument.key)
        if text is None and argument.key != RETURN_KEY:
            raise XComError(
                f"task {self.command.task_id!r} needs the XCom {argument.key!r} of task "
                f"{argument.operator.task_id!r}, which has pushed none"
            )
        return None if text is None else xcom.decode(text)

    def _success(self, result: Any) -> Outcome:
        if result is not None and self.task.do_xcom_push:
            self.ti.xcom_push(RETURN_KEY, result)
        return self._outcome("success")

    def _interrupted(self, reason: str, error: Interrupted | None) -> Outcome:
        try:
            self.task.on_kill()
        except Exception:  # the edge of foreign code; the attempt ends anyway
            traceback.print_exc()
        message = "the task was told to end (SIGTERM)"
        if reason == TIMEOUT:
            limit = self.command.execution_timeout_seconds
            message = f"it ran longer than its execution_timeout of {limit:g} s"
        text = None if error is None else traceback_text(error)
        return self._outcome("failed", error=message, traceback=text, reason=reason)

    def _failed(
        self,
        error: BaseException,
        *,
        retryable: bool = True,
        reason: str | None = None,
        message: str | None = None,
    ) -> Outcome:
        return self._outcome(
            "failed",
            error=message or one_line(error),
            traceback=traceback_text(error),
            retryable=retryable,
            reason=reason,
        )

    def _outcome(self, kind: Any, **fields: Any) -> Outcome:
        started_at, ended_at = self.stamps.both()
        return Outcome(kind=kind, started_at=started_at, ended_at=ended_at, xcoms=self.ti.pushed, **fields)


def _task_ids(operator: BaseOperator) -> list[str]:
    return [operator.task_id] if operator.dag is None else operator.dag.task_ids
