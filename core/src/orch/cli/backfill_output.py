"""How backfills look: as documents of `--json`, as rows of tables, and in sentences."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orch.cli.output import Cell, Output, cell_text, counted, span_text
from orch.clock import isoformat
from orch.domain.backfills import OUTCOME_WORDS, BackfillState, Outcome
from orch.operations.backfill_plan import Preview
from orch.store.queries.backfill_dates import DealtDate, Progress
from orch.store.queries.backfills import BackfillRow

LONGEST_LIST = 12
"""On a terminal the middle of a longer list of dates is left out."""
ENDS_SHOWN = 5

COLUMNS = ("id", "dag", "state", "from", "to", "dates", "done", "runs", "failed", "by", "created")


@dataclass(frozen=True, slots=True)
class BackfillView:
    """One backfill with what has become of it."""

    row: BackfillRow
    progress: Progress


def as_document(view: BackfillView) -> dict[str, Any]:
    """Return a backfill as `--json` prints it."""
    row, outcomes = view.row, dict(view.progress.outcomes)
    return {
        "backfill_id": row.backfill_id,
        "dag_id": row.dag_id,
        "state": row.state,
        "from": isoformat(row.first),
        "to": isoformat(row.last),
        "backwards": row.backwards,
        "reprocess": row.reprocess,
        "max_active": row.max_active_runs,
        "conf": dict(row.conf),
        "dates": row.dates,
        "dealt_with": view.progress.dealt_with,
        "runs_created": outcomes.pop(Outcome.CREATED, 0),
        "skipped": {str(outcome): count for outcome, count in sorted(outcomes.items())},
        "runs": dict(sorted(view.progress.runs.items())),
        "created_by": row.created_by,
        "created_at": isoformat(row.created_at),
        "ended_at": isoformat(row.ended_at),
    }


def row_cells(view: BackfillView) -> tuple[Cell, ...]:
    """Return a backfill as a row of a table with COLUMNS."""
    row, progress = view.row, view.progress
    made = progress.outcomes.get(Outcome.CREATED)
    failed = progress.runs.get("failed")
    span = (row.last, row.first) if row.backwards else (row.first, row.last)
    return (
        row.backfill_id, row.dag_id, row.state, *span, row.dates, progress.dealt_with, made, failed,
        row.created_by, row.created_at,
    )  # fmt: skip


def headline(row: BackfillRow, now: datetime, output: Output) -> str:
    """Return one line on a backfill."""
    state = output.styled(row.state, row.state)
    since = "took" if row.ended_at else "for"
    span = (row.ended_at or now) - (row.created_at if row.ended_at else row.state_since)
    return f"backfill {row.backfill_id} of {row.dag_id}  {state}  {since} {span_text(span)}"


def span_line(row: BackfillRow) -> str:
    """Return one line on what was asked for."""
    first, last = cell_text(row.first), cell_text(row.last)
    span = f"back from {last} to {first}" if row.backwards else f"from {first} to {last}"
    active = "1 run" if row.max_active_runs == 1 else f"{row.max_active_runs} runs"
    redo = "" if row.reprocess == "none" else f", again where runs are {row.reprocess}"
    return f"{counted(row.dates, 'date')} {span}, at most {active} at once{redo}"


def progress_lines(view: BackfillView, output: Output) -> Iterable[str]:
    """Yield what has become of the dates and of the runs."""
    outcomes = dict(view.progress.outcomes)
    made = outcomes.pop(Outcome.CREATED, 0)
    to_come = view.row.dates - view.progress.dealt_with
    left = "left out" if view.row.state is BackfillState.CANCELLED else "to come"
    yield f"{counted(view.progress.dealt_with, 'date')} dealt with, {to_come} {left}"
    states = sorted(view.progress.runs.items())
    words = ", ".join(output.styled(state, f"{count} {state}") for state, count in states)
    yield f"{counted(made, 'run')} created" + (f": {words}" if words else "")
    if outcomes:
        skipped = ", ".join(
            f"{count} because {_because(outcome)}" for outcome, count in sorted(outcomes.items())
        )
        yield f"{counted(sum(outcomes.values()), 'date')} skipped: {skipped}"


def preview_document(preview: Preview) -> dict[str, Any]:
    """Return a preview as `--json` prints it."""
    return {
        "dates": [
            {"logical_date": isoformat(each.logical_date), "outcome": each.outcome, "run_id": each.run_id}
            for each in preview.dates
        ],
        "counts": {str(outcome): count for outcome, count in sorted(_counts(preview).items())},
        "not_yet": isoformat(preview.not_yet),
        "in_the_way": preview.in_the_way,
    }


def preview_lines(preview: Preview, output: Output) -> Iterable[str]:
    """Yield what creating it would do, date by date, and the counts."""
    lines = [
        f"  {cell_text(each.logical_date)}  {_planned(each.outcome, each.run_id)}" for each in preview.dates
    ]
    yield from shortened(lines) if output.is_terminal else lines
    counts = _counts(preview)
    made = counts.pop(Outcome.CREATED, 0)
    yield f"{counted(len(preview.dates), 'date')}: {counted(made, 'run')} to create" + "".join(
        f", {count} skipped because {_because(outcome)}" for outcome, count in sorted(counts.items())
    )


def date_documents(dealt: Sequence[DealtDate], to_come: Iterable[datetime]) -> list[dict[str, Any]]:
    """Return the dates of a backfill as `--json` prints them."""
    documents: list[dict[str, Any]] = [
        {
            "logical_date": isoformat(each.logical_date),
            "outcome": each.outcome,
            "run_id": each.run_id,
            "run_state": each.run_state,
            "at": isoformat(each.at),
        }
        for each in dealt
    ]
    nothing = {"outcome": None, "run_id": None, "run_state": None, "at": None}
    return documents + [{"logical_date": isoformat(date), **nothing} for date in to_come]


def date_rows(dealt: Sequence[DealtDate], to_come: Iterable[datetime]) -> list[tuple[Cell, ...]]:
    """Return the dates of a backfill as rows of a table: logical date, outcome, run id, state."""
    rows: list[tuple[Cell, ...]] = [
        (each.logical_date, each.outcome, each.run_id, each.run_state) for each in dealt
    ]
    return rows + [(date, "to come", None, None) for date in to_come]


def shortened(lines: Sequence[str]) -> list[str]:
    """Return the lines, of many of them beginning and end."""
    if len(lines) <= LONGEST_LIST:
        return list(lines)
    between = f"  ... {len(lines) - 2 * ENDS_SHOWN:,} more; --json has all"
    return [*lines[:ENDS_SHOWN], between, *lines[-ENDS_SHOWN:]]


def _counts(preview: Preview) -> dict[Outcome, int]:
    counts: dict[Outcome, int] = {}
    for each in preview.dates:
        counts[each.outcome] = counts.get(each.outcome, 0) + 1
    return counts


def _planned(outcome: Outcome, run_id: str | None) -> str:
    if outcome is Outcome.CREATED:
        return "gets a run" if run_id is None else f"gets another run after {run_id}"
    return f"skipped: {OUTCOME_WORDS[outcome]}, {run_id}"


def _because(outcome: Outcome) -> str:
    return _REASONS[outcome]


_REASONS: Mapping[Outcome, str] = {
    Outcome.RUN_EXISTS: "they have a run",
    Outcome.RUN_OPEN: "their newest run has not ended",
    Outcome.RUN_SUCCEEDED: "their newest run has succeeded",
}
