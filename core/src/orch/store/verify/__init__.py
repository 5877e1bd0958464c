"""Verify: the invariants that the database itself can show, each a query or a replay of history."""

from collections.abc import Sequence

from orch.store.engine import Store
from orch.store.verify import budgets, history, rows
from orch.store.verify.findings import Check, Finding

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
    "I10": budgets.active_runs_held,
    "I11": rows.open_runs_have_a_cause,
    "I12": rows.open_states_have_their_rows,
    "I13": rows.closed_states_have_none,
    "I14": rows.run_states_are_derived,
    "I17": history.tries_are_bounded,
    "I18": history.retries_wait,
    "I19": rows.results_are_of_accepted_attempts,
    "I21": rows.versions_are_pinned,
    "I23": budgets.pauses_held,
}
"""By the number of the invariant; I9 also covers the task limits of I10. I15 is held by unique constraints."""


def verify(store: Store, only: Sequence[str] = ()) -> list[Finding]:
    """Check all invariants (or those named) in one read transaction; an empty list means a clean database."""
    with store.read() as tx:
        return [
            finding for name, check in CHECKS.items() if not only or name in only for finding in check(tx)
        ]


__all__ = ["CHECKS", "Check", "Finding", "verify"]
