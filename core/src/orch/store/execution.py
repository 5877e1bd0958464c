"""Execution: what workers may do with task instances - claim, report, heartbeat, hand back - each one transaction."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from orch.clock import from_micros, to_micros
from orch.domain.dagspec import TaskSpec
from orch.domain.retries import after_failure
from orch.domain.states import TERMINAL, Actor, TaskState
from orch.ids import new_nonce
from orch.runner.outcome import Outcome
from orch.store.engine import Store, Tx
from orch.store.queries import attempts, bundles, processes, runs, xcoms
from orch.store.queries.attempts import AttemptEnd, AttemptRow
from orch.store.queries.processes import ProcessInfo
from orch.store.queries.transitions import By, TaskMove, TaskRow, move_tasks
from orch.store.rescue import rescue_attempts
from orch.store.specs import SpecCache

MOST_INPUT_BYTES = 1_048_576
"""Inputs of one task that are larger together are not read with the claim."""
ACCEPTED, REPEATED, REFUSED = "accepted", "repeated", "refused"


@dataclass(frozen=True, slots=True)
class Claimed:
    """The right to run one attempt, and what the run needs."""

    ti_id: int
    epoch: int
    nonce: str
    run_pk: int
    dag_id: str
    run_id: str
    run_type: str
    task_id: str
    map_index: int
    try_number: int
    max_tries: int
    logical_date: datetime | None
    data_interval_start: datetime | None
    data_interval_end: datetime | None
    run_after: datetime
    conf: dict[str, Any]
    dag_file: str
    dag_version_id: int
    source_rev: str
    spec: TaskSpec
    inputs: tuple[tuple[str, str, int, str | None], ...]
    inputs_left_out: bool = False
    """True when the inputs are too large to be read together: the values are None, the task asks for each."""
    bundle: str | None = None
    """Hash of the stored state of the dags folder that it runs; None means the files as they are."""


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """How one attempt ended, as its worker saw it."""

    ti_id: int
    epoch: int
    nonce: str
    outcome: Outcome
    exit: str | None = None
    log_path: str | None = None


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    """Which of the named attempts must be killed, and whether this incarnation still counts as alive."""

    revoked: tuple[tuple[int, int], ...] = ()
    known: bool = True
    why: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """For some of the revoked ones a line for people."""


class Execution:
    """The guarded functions behind a worker; every call may be repeated after an error."""

    def __init__(self, store: Store, *, infra_loss_limit: int = 3) -> None:
        self._store = store
        self._specs = SpecCache()
        self._infra_loss_limit = infra_loss_limit

    def register(self, info: ProcessInfo) -> None:
        """Make this incarnation known, with a lease."""
        self._store.transact("register_process", lambda tx: processes.register(tx, info))

    def release(self, incarnation: str) -> None:
        """End this incarnation in peace."""
        self._store.transact("release_process", lambda tx: processes.end(tx, incarnation))

    def has_work(self, executors: Sequence[str], run_pk: int | None = None) -> bool:
        """Return whether there is anything to claim; a read that spares the write lock."""
        with self._store.read() as tx:
            return bool(attempts.dispatched(tx, executors, 1, run_pk))

    def claim(
        self, incarnation: str, executors: Sequence[str], limit: int, run_pk: int | None = None
    ) -> list[Claimed]:
        """T3: take up to `limit` queued task instances.

        The nonces are made here, before the transaction: when the outcome of a commit is unknown the same
        claim is made again with the same nonces and gets the same answer.
        """
        nonces = [new_nonce() for _ in range(limit)]
        tries = itertools.count()

        def work(tx: Tx) -> list[Claimed]:
            if next(tries) and (known := self._claimed_before(tx, incarnation, nonces)):
                return known
            return self._claim(tx, incarnation, executors, nonces, run_pk)

        return self._store.transact("claim", work)

    def report(self, incarnation: str, reports: Sequence[AttemptReport]) -> list[str]:
        """T5: write outcomes; each answer is `accepted`, `repeated` (it was known already) or `refused`."""
        with self._store.write("report") as tx:
            return self._report(tx, incarnation, reports)

    def heartbeat(
        self, incarnation: str, held: Sequence[tuple[int, int]], lease_seconds: float, grace_seconds: float
    ) -> HeartbeatReply:
        """T4: renew the lease; rescue what the store thinks is held here but is not named past the grace."""
        with self._store.write("heartbeat") as tx:
            if not processes.renew(tx, incarnation, lease_seconds):
                return HeartbeatReply(tuple(held), known=False)
            mine = {(row.ti_id, row.epoch): row for row in attempts.open_of(tx, incarnation)}
            named = set(held)
            lost = [row for key, row in mine.items() if key not in named]
            self._rescue_unnamed(tx, lost, grace_seconds)
            revoked = tuple(key for key in held if key not in mine)
            return HeartbeatReply(revoked, why=attempts.errors_of(tx, revoked))

    def hand_back(self, incarnation: str, keys: Sequence[tuple[int, int, str]]) -> None:
        """T15: give back attempts whose tasks were ended by a drain; no try is used."""
        with self._store.write("report") as tx:
            rows = {row.id: row for row in runs.task_rows(tx, [ti_id for ti_id, _, _ in keys])}
            found = attempts.find(tx, [(ti_id, epoch) for ti_id, epoch, _ in keys])
            moves = []
            for ti_id, epoch, nonce in keys:
                attempt, row = found.get((ti_id, epoch)), rows.get(ti_id)
                if attempt and row and _holds(row, attempt, epoch, nonce):
                    to = replace(
                        row, state=TaskState.SCHEDULED, next_try=row.try_number, reason="handed_back"
                    )
                    moves.append(TaskMove(row, to))
            won = move_tasks(tx, moves, By(Actor.WORKER, incarnation))
            attempts.end(tx, [AttemptEnd(row.id, row.epoch, "interrupted") for row in won])
            runs.wake(tx, [(row.run_pk, row.id) for row in won])

    def lost(self, incarnation: str, keys: Sequence[tuple[int, int, str]]) -> None:
        """T8: the worker itself has lost these attempts (their host died); no try is used, up to the limit."""
        with self._store.write("rescue") as tx:
            found = attempts.find(tx, [(ti_id, epoch) for ti_id, epoch, _ in keys])
            mine = [
                attempt
                for ti_id, epoch, nonce in keys
                if (attempt := found.get((ti_id, epoch))) is not None
                and attempt.outcome is None
                and attempt.nonce_hash == attempts.hash_nonce(nonce)
            ]
            rescue_attempts(tx, mine, incarnation, self._infra_loss_limit)

    def xcom(self, run_pk: int, task_id: str, key: str, map_index: int = -1) -> str | None:
        """Return a value that an accepted attempt of the run has pushed, as JSON text."""
        with self._store.read() as tx:
            return xcoms.get(tx, run_pk, task_id, key, map_index)

    def bundle_files(self, bundle: str) -> dict[str, str] | None:
        """Return path -> content hash (or alias) of a stored state of the dags folder; None when it is not stored."""
        with self._store.read() as tx:
            return bundles.files_of(tx, bundle)

    def blobs(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """Return the stored contents of these hashes."""
        with self._store.read() as tx:
            return bundles.contents(tx, hashes)

    def bundles_in_use(self) -> set[str]:
        """Return the bundles that open runs have, or that new runs would get."""
        with self._store.read() as tx:
            return bundles.in_use(tx)

    def scheduler_addresses(self) -> list[str]:
        """Return where schedulers listen for wake-up hints."""
        with self._store.read() as tx:
            return processes.addresses(tx, "scheduler")

    def _claim(
        self, tx: Tx, incarnation: str, executors: Sequence[str], nonces: Sequence[str], run_pk: int | None
    ) -> list[Claimed]:
        keys = attempts.dispatched(tx, executors, len(nonces), run_pk)
        epochs = dict(keys)
        moves = [
            TaskMove(row, _started(row, tx.now))
            for row in runs.task_rows(tx, list(epochs))
            if row.state is TaskState.QUEUED and row.epoch == epochs[row.id]
        ]
        won = move_tasks(tx, moves, By(Actor.WORKER, incarnation))
        order = {ti_id: position for position, (ti_id, _) in enumerate(keys)}
        won.sort(key=lambda row: order[row.id])
        granted = {row.id: nonce for row, nonce in zip(won, nonces, strict=False)}
        attempts.start(tx, [(r.id, r.epoch, r.try_number, granted[r.id], incarnation) for r in won])
        attempts.undispatch(tx, keys)
        return self._claimed(tx, won, granted, incarnation)

    def _claimed_before(self, tx: Tx, incarnation: str, nonces: Sequence[str]) -> list[Claimed]:
        granted = attempts.by_nonce(tx, nonces)
        rows = [row for row in runs.task_rows(tx, list(granted)) if row.state is TaskState.RUNNING]
        return self._claimed(tx, rows, granted, incarnation)

    def _claimed(
        self, tx: Tx, won: Sequence[TaskRow], nonces: dict[int, str], incarnation: str
    ) -> list[Claimed]:
        """Build what the worker needs; a row whose context cannot be read fails alone and stops nobody else."""
        contexts: dict[int, tuple[Any, ...]] = {}
        claimed = []
        for row in won:
            if row.run_pk not in contexts:
                contexts[row.run_pk] = _run_context(tx, row.run_pk)
            try:
                claimed.append(self._one_claimed(tx, row, nonces[row.id], contexts[row.run_pk]))
            except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
                _fail_unrunnable(tx, row, f"{type(error).__name__}: {error}", incarnation)
        return claimed

    def _one_claimed(self, tx: Tx, row: TaskRow, nonce: str, context: tuple[Any, ...]) -> Claimed:
        dag_id, run_id, run_type, logical, start, end, run_after, conf, file, version_id, *sources = context
        source_rev, bundle = sources
        spec = self._specs.get(tx, version_id).by_id[row.task_id]
        values, left_out = xcoms.of_tasks(tx, row.run_pk, spec.inputs, MOST_INPUT_BYTES)
        inputs = tuple((task_id, key, -1, values.get((task_id, key))) for task_id, key in spec.inputs)
        return Claimed(
            ti_id=row.id,
            epoch=row.epoch,
            nonce=nonce,
            run_pk=row.run_pk,
            dag_id=dag_id,
            run_id=run_id,
            run_type=run_type,
            task_id=row.task_id,
            map_index=row.map_index,
            try_number=row.try_number,
            max_tries=row.max_tries,
            logical_date=_moment(logical),
            data_interval_start=_moment(start),
            data_interval_end=_moment(end),
            run_after=from_micros(run_after),
            conf=json.loads(conf),
            dag_file=file,
            dag_version_id=version_id,
            source_rev=source_rev,
            spec=spec,
            inputs=inputs,
            inputs_left_out=left_out,
            bundle=bundle,
        )

    def _report(self, tx: Tx, incarnation: str, reports: Sequence[AttemptReport]) -> list[str]:
        rows = {row.id: row for row in runs.task_rows(tx, [report.ti_id for report in reports])}
        found = attempts.find(tx, [(report.ti_id, report.epoch) for report in reports])
        answers: list[str] = []
        moves: list[TaskMove] = []
        accepted: dict[int, AttemptReport] = {}
        for report in reports:
            attempt, row = found.get((report.ti_id, report.epoch)), rows.get(report.ti_id)
            answer = _judge(row, attempt, report)
            answers.append(answer)
            if answer == ACCEPTED and row is not None:
                accepted[row.id] = report
                moves.append(TaskMove(row, self._reported(tx, row, report)))
        won = move_tasks(tx, moves, By(Actor.WORKER, incarnation))
        attempts.end(tx, [_end_of(accepted[row.id]) for row in won])
        ended = [
            row for row in won if row.state in TERMINAL
        ]  # what a try that is repeated pushed is forgotten
        xcoms.put(tx, [entry for row in ended for entry in _xcom_rows(row, accepted[row.id].outcome)])
        runs.wake(tx, [(row.run_pk, row.id) for row in won])
        return answers

    def _reported(self, tx: Tx, row: TaskRow, report: AttemptReport) -> TaskRow:
        outcome = report.outcome
        ended = replace(
            row,
            due_at=None,
            reason=None,
            detail=outcome.error,
            started_at=_stamp(outcome.started_at),
            ended_at=_stamp(outcome.ended_at) or tx.now,
        )
        if outcome.kind == "success":
            return replace(ended, state=TaskState.SUCCESS)
        if outcome.kind == "skipped":
            return replace(ended, state=TaskState.SKIPPED, reason="skipped_by_task")
        return self._failed(tx, ended, outcome)

    def _failed(self, tx: Tx, row: TaskRow, outcome: Outcome) -> TaskRow:
        verdict = after_failure(
            self._specs.get(tx, row.dag_version_id).by_id[row.task_id].retry,
            try_number=row.try_number,
            max_tries=row.max_tries,
            retryable=outcome.retryable,
        )
        if verdict.delay is None:
            return replace(row, state=TaskState.FAILED, reason=outcome.reason or verdict.reason)
        due_at = tx.now + int(verdict.delay.total_seconds() * 1_000_000)
        next_try = row.try_number + 1
        return replace(
            row, state=TaskState.UP_FOR_RETRY, next_try=next_try, reason=verdict.reason, due_at=due_at
        )

    def _rescue_unnamed(self, tx: Tx, lost: Sequence[AttemptRow], grace_seconds: float) -> None:
        """A worker that no longer names an attempt has lost it, unless the claim is younger than the grace."""
        young = tx.now - int(grace_seconds * 1_000_000)
        old = [
            row
            for row in lost
            if tx.rows(
                "SELECT 1 FROM attempt WHERE ti_id = ? AND epoch = ? AND claimed_at < ?",
                (row.ti_id, row.epoch, young),
            )
        ]
        if old:
            rescue_attempts(tx, old, "heartbeat", self._infra_loss_limit)


def _started(row: TaskRow, now: int) -> TaskRow:
    """The claim stands for the start until the report brings the exact moment of the user code."""
    return replace(
        row,
        state=TaskState.RUNNING,
        try_number=row.next_try,
        reason="running",
        detail=None,
        due_at=None,
        started_at=now,
        ended_at=None,
    )


def _fail_unrunnable(tx: Tx, row: TaskRow, why: str, incarnation: str) -> None:
    failed = replace(row, state=TaskState.FAILED, reason="unrunnable", detail=why)
    move_tasks(tx, [TaskMove(row, failed)], By(Actor.WORKER, incarnation))
    attempts.end(tx, [AttemptEnd(row.id, row.epoch, "failed", error=why)])
    runs.wake(tx, [(row.run_pk, row.id)])


def _holds(row: TaskRow, attempt: AttemptRow, epoch: int, nonce: str) -> bool:
    return (
        row.state is TaskState.RUNNING
        and row.epoch == epoch
        and attempt.outcome is None
        and attempt.nonce_hash == attempts.hash_nonce(nonce)
    )


def _judge(row: TaskRow | None, attempt: AttemptRow | None, report: AttemptReport) -> str:
    if row is None or attempt is None or attempt.nonce_hash != attempts.hash_nonce(report.nonce):
        return REFUSED
    if attempt.outcome is not None:
        return REPEATED if attempt.outcome == report.outcome.kind else REFUSED
    return ACCEPTED if _holds(row, attempt, report.epoch, report.nonce) else REFUSED


def _end_of(report: AttemptReport) -> AttemptEnd:
    outcome = report.outcome
    return AttemptEnd(
        report.ti_id,
        report.epoch,
        outcome.kind,
        _stamp(outcome.started_at),
        _stamp(outcome.ended_at),
        outcome.error,
        report.exit,
        report.log_path,
    )


def _xcom_rows(row: TaskRow, outcome: Outcome) -> list[tuple[int, str, int, str, str, int, int]]:
    return [
        (row.run_pk, row.task_id, row.map_index, key, value, row.id, row.epoch)
        for key, value in outcome.xcoms
    ]


def _run_context(tx: Tx, run_pk: int) -> tuple[Any, ...]:
    return tx.rows(
        """
        SELECT r.dag_id, r.run_id, r.run_type, r.logical_date, r.data_interval_start, r.data_interval_end,
          r.run_after, r.conf, COALESCE(v.file, d.file), r.dag_version_id, r.source_rev, b.hash
        FROM dag_run r JOIN dag d ON d.id = r.dag_pk LEFT JOIN bundle b ON b.id = r.bundle_id
        LEFT JOIN dag_revision v ON b.id IS NOT NULL AND v.dag_pk = r.dag_pk
          AND v.dag_version_id = r.dag_version_id AND v.source_rev = r.source_rev
        WHERE r.id = ?
        """,
        (run_pk,),
    )[0]


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def _stamp(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)
