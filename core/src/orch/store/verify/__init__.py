"""Verify: the invariants that the database itself can show, each a query or a replay of history."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from orch.domain.dagspec import DagSpec
from orch.domain.timetables import DagTimetable, timetable_of
from orch.errors import StoreError
from orch.store.engine import Store, Tx
from orch.store.verify import backfills, budgets, history, pasts, rows, schedules, sources
from orch.store.verify.findings import Check, Finding


def _all(*checks: Check) -> Check:
    return lambda tx: chain.from_iterable(check(tx) for check in checks)


CHECKS: dict[str, Check] = {
    "I1": history.history_is_gapless,
    "I2": history.moves_are_in_the_table,
    "I3": history.epochs_start_once,
    "I4": history.tries_end_once,
    "I5": history.holders_end_what_they_started,
    "I6": history.epochs_only_grow,
    "I7": history.ends_are_final,
    "I8": history.trigger_rules_held,
    "I9": budgets.limits_held,
    "I10": _all(budgets.active_runs_held, backfills.active_runs_held),
    "I11": rows.open_runs_have_a_cause,
    "I12": rows.open_states_have_their_rows,
    "I13": rows.closed_states_have_none,
    "I14": rows.run_states_are_derived,
    "I15": backfills.dates_have_their_runs,
    "I16": schedules.schedules_kept,
    "I17": history.tries_are_bounded,
    "I18": history.retries_wait,
    "I19": rows.results_are_of_accepted_attempts,
    "I21": sources.code_is_pinned,
    "I23": budgets.pauses_held,
    "I24": pasts.pasts_held,
}
"""By the number of the invariant; I9 also covers the task limits of I10. Unique constraints hold the rest of I15."""


def verify(
    store: Store, only: Sequence[str] = (), timetable_of: Callable[[DagSpec], DagTimetable] = timetable_of
) -> list[Finding]:
    """Check all invariants (or those named) in one read transaction; an empty list means a clean database.

    With the `timetable_of` of the plugins the schedules of their kinds are checked too.
    """
    checks = CHECKS | {"I16": schedules.schedules_kept_with(timetable_of)}
    with store.read() as tx:
        return [
            finding
            for name, check in checks.items()
            if not only or name in only
            for finding in _finished(name, check, tx)
        ]


def _finished(name: str, check: Check, tx: Tx) -> Iterator[Finding]:
    """Yield what a check finds; rows so broken that it cannot go on are a finding too and stop no other check."""
    try:
        yield from check(tx)
    except StoreError:
        raise
    except Exception as error:  # whatever somebody has done to the rows
        kind = type(error).__name__
        yield Finding(
            name, f"cannot be checked to the end, the rows contradict each other ({kind}: {error})", ()
        )


__all__ = ["CHECKS", "Check", "Finding", "verify"]
