"""`DAG.test()`: a run of a DAG in this process, and the result of it."""

import json
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orch.authoring.dag import DAG
from orch.authoring.run_result import FailedTry, RunResult
from orch.authoring.schedule import moment, timezone_of
from orch.domain.states import TaskState
from orch.errors import BadInput
from orch.inprocess import protocol
from orch.inprocess.performer import Performer, RunFacts
from orch.inprocess.rows import Move
from orch.inprocess.run_clock import RunClock
from orch.inprocess.runner import Options, Runner
from orch.inprocess.state_store import Snapshot, TaskStateStore
from orch.inprocess.streams import TaskStreams
from orch.runner import xcom


@dataclass(frozen=True, slots=True)
class Request:
    """The run that somebody wants."""

    run_after: datetime | None = None
    logical_date: datetime | None = None
    run_conf: Mapping[str, Any] | None = None
    mark_success: "re.Pattern[str] | str | None" = None
    options: Options = field(default_factory=Options)


def run_dag(dag: DAG, request: Request) -> RunResult:
    """Run the DAG to its end and return what came of it."""
    spec = dag.to_spec()
    _check(request.options)
    clock = RunClock()
    facts = _facts(dag, request, clock())
    streams = TaskStreams() if request.options.parallelism > 1 else None

    def make_perform(runner: Runner) -> Performer:
        return Performer(dag, facts, runner.store, clock, streams)

    runner = Runner(spec, request.options, clock, make_perform=make_perform)
    _mark(runner.store, request.mark_success)
    with streams or nullcontext():
        runner.run()
    result = _result(facts.run_id, runner.store.snapshot(), tuple(each.task_id for each in runner.stuck))
    _say_how_it_ended(result)
    return result


def _check(options: Options) -> None:
    size: Any = options.parallelism
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise BadInput(f"parallelism must be a whole number from 1 up, not {size!r}")


def _facts(dag: DAG, request: Request, now: datetime) -> RunFacts:
    _, zone = timezone_of(str(dag), dag.timezone, dag.start_date)
    run_after = moment(str(dag), "run_after", request.run_after, zone)
    return RunFacts(
        run_id=f"manual__{now.astimezone(UTC).isoformat(timespec='microseconds')}",
        run_after=now if run_after is None else run_after,
        logical_date=moment(str(dag), "logical_date", request.logical_date, zone),
        conf=_plain(request.run_conf or {}),
    )


def _plain(conf: Any) -> dict[str, Any]:
    """Return the conf as a run with a database would read it: copied, and nothing but JSON."""
    if not isinstance(conf, Mapping):
        raise BadInput(f"run_conf must be a dict, not {conf!r}")
    try:
        copied: dict[str, Any] = json.loads(json.dumps(dict(conf), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"run_conf is not plain JSON: {error}") from None
    return copied


def _mark(store: TaskStateStore, pattern: "re.Pattern[str] | str | None") -> None:
    """T12: what is marked as a success needs not run."""
    if pattern is None:
        return
    matches: Callable[[str], object] = re.compile(pattern).fullmatch
    with store.locked() as tables:
        rows = [row for row in tables.rows.values() if matches(row.task_id)]
        moves = [Move(row, protocol.revoked(row, TaskState.SUCCESS, "marked")) for row in rows]
        tables.move(moves, protocol.OPERATOR)


def _result(run_id: str, end: Snapshot, stuck: tuple[str, ...]) -> RunResult:
    xcoms: dict[str, dict[str, Any]] = {}
    for (task_id, key), text in end.xcoms.items():
        xcoms.setdefault(task_id, {})[key] = xcom.decode(text)
    names = {row.id: row.task_id for row in end.rows}
    return RunResult(
        dag_id=end.spec.dag_id,
        run_id=run_id,
        state=end.run_state,
        states={row.task_id: row.state for row in end.rows},
        xcoms=xcoms,
        failures=tuple(
            FailedTry(names[each.ti_id], each.try_number, each.error or "", each.traceback)
            for each in end.attempts
            if each.outcome == "failed"
        ),
        history=end.history,
        stuck=stuck,
    )


def _say_how_it_ended(result: RunResult) -> None:
    counts: dict[str, int] = {}
    for state in result.states.values():
        counts[state] = counts.get(state, 0) + 1
    parts = ", ".join(f"{count} {state}" for state, count in counts.items()) or "no tasks"
    sys.stdout.write(f"-- DAG {result.dag_id}: {result.state} ({parts})\n")
    sys.stdout.flush()
