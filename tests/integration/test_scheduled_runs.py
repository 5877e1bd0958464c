"""Runs of each kind of timetable on a real database: when they are made, what they stand for, when they begin."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from tests.integration.harness import Engine, spec_of, to_micros

from orch.clock import from_micros
from orch.domain.dagspec import DagSpec, TimetableSpec
from orch.domain.jitter import offset_of
from orch.domain.timetables import PointTimetable
from orch.hookspecs import TimetableKind, hookimpl
from orch.scheduler.service import Scheduler
from orch.store.queries import cursors
from orch.store.queries.dag_files import DagLimits, ParsedDag, ParsedFile
from orch.store.queries.registration import register_files
from orch.testing import plugins_from

NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)
"""The clock of the engine begins at its noon."""
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def dag_of(kind: str | None = None, arguments: dict[str, Any] | None = None, **values: Any) -> DagSpec:
    timetable = None if kind is None else TimetableSpec(kind, arguments or {})
    return DagSpec("d", spec_of({"a": ""}).tasks, timetable=timetable, **values)


def runs_of(engine: Engine) -> list[tuple[datetime, ...]]:
    """Return logical date, start and end of the interval, and time of each run, as they were made."""
    with engine.store.read() as tx:
        rows = tx.rows(
            "SELECT logical_date, data_interval_start, data_interval_end, run_after FROM dag_run ORDER BY id"
        )
    return [tuple(from_micros(value) for value in row) for row in rows]


def dates_of(engine: Engine) -> list[datetime]:
    return [run[0] for run in runs_of(engine)]


def register(engine: Engine, *specs: DagSpec) -> None:
    """Register the DAGs as the DAG processor does."""
    dags = tuple(ParsedDag.of(spec) for spec in specs)
    with engine.store.write("register_dags") as tx:
        register_files(tx, [ParsedFile("d.py", "rev", "", (), dags, default_limits=DagLimits(16, 16))])


def test_a_daily_interval_that_catches_up_has_a_run_for_each_day_that_is_over(engine):
    start = NEW_YEAR - 3 * DAY
    register(engine, dag_of("cron_interval", {"expression": "0 0 * * *"}, start_date=start, catchup=True))
    engine.run()
    assert runs_of(engine) == [(start + n * DAY, start + n * DAY, start + (n + 1) * DAY, start + (n + 1) * DAY)
                               for n in range(3)]  # fmt: skip
    assert engine.value("SELECT run_id FROM dag_run ORDER BY id") == "scheduled__2023-12-29T00:00:00+00:00"
    engine.clock.advance(hours=12)
    engine.run()
    assert dates_of(engine)[3:] == [NEW_YEAR]


def test_the_context_of_a_task_has_the_interval_of_its_run(engine):
    register(engine, dag_of("cron_interval", {"expression": "0 0 * * *"}))
    engine.run()
    engine.clock.advance(days=1)
    engine.run()
    (claim,) = engine.claims
    assert (claim.logical_date, claim.data_interval_start, claim.data_interval_end) == (
        NEW_YEAR,
        NEW_YEAR,
        NEW_YEAR + DAY,
    )


def test_a_delta_has_a_run_each_time_its_span_is_over(engine):
    start = NEW_YEAR + HOUR / 2
    register(engine, dag_of("delta", {"seconds": 7200}, start_date=start))
    engine.run()
    for _ in range(3):
        engine.clock.advance(hours=2)
        engine.run()
    assert dates_of(engine) == [NEW_YEAR + timedelta(hours=hours, minutes=30) for hours in (12, 14, 16)]


def test_a_delta_interval_begins_with_the_start_date(engine):
    start = NEW_YEAR + 10 * HOUR
    register(engine, dag_of("delta_interval", {"seconds": 3600}, start_date=start, catchup=True))
    engine.run()
    assert runs_of(engine) == [(start, start, start + HOUR, start + HOUR),
                               (start + HOUR, start + HOUR, start + 2 * HOUR, start + 2 * HOUR)]  # fmt: skip


def test_several_crons_have_one_run_where_they_coincide(engine):
    register(engine, dag_of("crons", {"expressions": ["0 13,14 * * *", "0 14,15 * * *"]}))
    engine.run()
    for _ in range(4):
        engine.clock.advance(hours=1)
        engine.run()
    assert dates_of(engine) == [NEW_YEAR + hours * HOUR for hours in (13, 14, 15)]


def test_dates_have_a_run_each_and_then_there_is_nothing_to_come(engine):
    register(engine, dag_of("dates", {"dates": ["2024-01-01T13:00:00+00:00", "2024-01-03T00:00:00+01:00"]}))
    engine.run()
    for _ in range(4):
        engine.clock.advance(days=1)
        engine.run()
    assert dates_of(engine) == [NEW_YEAR + 13 * HOUR, NEW_YEAR + 47 * HOUR]
    assert engine.value("SELECT next_tick_at FROM schedule_cursor") is None


@pytest.mark.parametrize("kind", ["cron_interval", None])
def test_start_and_end_date_are_both_included(engine, kind):
    dates = {"start_date": NEW_YEAR - 5 * DAY, "end_date": NEW_YEAR - 3 * DAY, "catchup": True}
    spec = dag_of(kind, {"expression": "0 0 * * *"}, **dates)
    register(engine, spec if kind else replace(spec, schedule="0 0 * * *"))
    engine.run()
    assert dates_of(engine) == [NEW_YEAR - n * DAY for n in (5, 4, 3)]


def test_the_rule_of_the_dag_decides_what_a_change_of_the_clock_does(engine):
    engine.clock.now = datetime(2024, 3, 30, 12, tzinfo=UTC)
    for rule in ("once", "skip"):
        engine.add_dag(
            replace(dag_of(schedule="30 2 * * *", timezone="Europe/Berlin", dst=rule), dag_id=rule)
        )
    engine.run()
    engine.clock.advance(hours=20)
    engine.run()
    assert engine.value("SELECT group_concat(dag_id) FROM dag_run") == "once"
    assert dates_of(engine) == [datetime(2024, 3, 31, 1, tzinfo=UTC)]


# Continuous


def test_a_continuous_dag_begins_its_next_run_when_the_last_one_has_ended_whatever_became_of_it(engine):
    register(engine, dag_of("continuous", max_active_runs=1, catchup=True, start_date=NEW_YEAR - DAY))
    engine.scheduler.run_once()
    for outcome in ("failed", "success", "fatal"):
        engine.clock.advance(seconds=1)
        engine.scheduler.run_once()
        engine.clock.advance(hours=1)
        engine.scheduler.run_once()
        assert engine.value("SELECT COUNT(*) FROM dag_run WHERE state = 'running'") == 1
        engine.work(lambda _, outcome=outcome: outcome)
        engine.scheduler.run_once()
    states = engine.value("SELECT group_concat(state) FROM (SELECT state FROM dag_run ORDER BY id)")
    assert states == "failed,success,failed"
    dates = dates_of(engine)
    assert all(HOUR <= later - earlier < HOUR + timedelta(seconds=3) for earlier, later in pairwise(dates))


def test_a_continuous_dag_with_short_runs_makes_one_a_second(engine):
    register(engine, dag_of("continuous", max_active_runs=1))
    for _ in range(40):
        engine.run(rounds=20)
        engine.clock.advance(milliseconds=250)
    made = dates_of(engine)
    assert len(made) in (9, 10)
    assert min(later - earlier for earlier, later in pairwise(made)) >= timedelta(seconds=1)


def test_the_scheduler_of_a_continuous_dag_does_not_poll_for_the_end_of_its_run(engine):
    register(engine, dag_of("continuous", max_active_runs=1))
    engine.run(rounds=20)
    engine.clock.advance(seconds=1)
    engine.scheduler.run_once()
    with engine.store.read() as tx:
        assert cursors.next_at(tx) is None
        assert cursors.due(tx, 100) == []


# Jitter


def test_a_run_begins_after_the_jitter_of_its_dag_and_says_so_until_then(engine):
    jitter = timedelta(hours=1)
    later = offset_of("d", jitter)
    register(engine, dag_of(schedule="0 13 * * *", jitter_seconds=jitter.total_seconds()))
    engine.run()
    engine.clock.advance(hours=1)
    engine.run()
    tick = NEW_YEAR + 13 * HOUR
    assert runs_of(engine) == [(tick, tick, tick, tick + later)]
    assert engine.value("SELECT state FROM dag_run") == "queued"
    assert engine.value("SELECT reason FROM dag_run") == "run_after"
    assert engine.value("SELECT due_at FROM dag_run") == to_micros(tick + later)
    engine.clock.now = tick + later
    engine.run()
    assert engine.value("SELECT state FROM dag_run") == "success"


def test_the_scheduler_wakes_when_the_jitter_is_over(engine):
    later = offset_of("d", timedelta(hours=1))
    register(engine, dag_of(schedule="0 13 * * *", jitter_seconds=3600))
    engine.run()
    engine.clock.advance(hours=1)
    engine.run()
    engine.clock.now = NEW_YEAR + 13 * HOUR + later - timedelta(milliseconds=100)
    engine.scheduler._next_heartbeat = float("inf")
    assert 0 < engine.scheduler._pause() <= 0.1


# Changes


def test_a_changed_schedule_goes_on_from_now_and_forgets_what_the_old_one_owed(engine):
    register(engine, dag_of(schedule="0 13 * * *"))
    engine.run()
    with engine.store.read() as tx:
        first = tx.rows("SELECT changed_at, follows_end FROM schedule_cursor")
    engine.clock.advance(hours=2)
    register(engine, dag_of("cron_interval", {"expression": "0 * * * *"}))
    engine.run()
    assert dates_of(engine) == []
    engine.clock.advance(hours=1)
    engine.run()
    assert dates_of(engine) == [NEW_YEAR + 14 * HOUR]
    with engine.store.read() as tx:
        assert tx.rows("SELECT changed_at, follows_end FROM schedule_cursor") > first


@pytest.mark.parametrize(
    ("after", "is_reset"),
    [
        (dag_of("delta", {"seconds": 60}, schedule="words"), False),
        (dag_of("delta", {"seconds": 60}, schedule="other words", description="x"), False),
        (dag_of("delta", {"seconds": 60}, schedule="words", jitter_seconds=5), False),
        (dag_of("delta", {"seconds": 61}, schedule="words"), True),
        (dag_of("delta_interval", {"seconds": 60}, schedule="words"), True),
        (dag_of("delta", {"seconds": 60}, schedule="words", dst="skip"), True),
        (dag_of("continuous", schedule="words"), True),
    ],
)
def test_only_what_decides_on_ticks_makes_a_schedule_another_one(engine, after, is_reset):
    register(engine, dag_of("delta", {"seconds": 60}, schedule="words"))
    engine.run()
    before = engine.value("SELECT next_tick_at FROM schedule_cursor")
    assert before != cursors.UNKNOWN
    register(engine, after)
    assert (engine.value("SELECT next_tick_at FROM schedule_cursor") == cursors.UNKNOWN) is is_reset
    follows = after.timetable.kind == "continuous"
    assert engine.value("SELECT follows_end FROM schedule_cursor") == follows


# Plugins


class Hours(PointTimetable):
    """Each full hour, until it is told to break."""

    is_broken = False

    def next_after(self, moment: datetime) -> datetime | None:
        if self.is_broken:
            raise ValueError("no more hours")
        return moment.replace(minute=0, second=0, microsecond=0) + HOUR

    def latest(self, moment: datetime) -> datetime | None:
        return moment.replace(minute=0, second=0, microsecond=0)


class Plugin:
    """A plugin that brings them."""

    def __init__(self) -> None:
        self.hours = Hours()

    @hookimpl
    def register_timetables(self) -> Sequence[TimetableKind]:
        return [TimetableKind("hours", lambda _arguments, _context: self.hours)]


def test_a_timetable_of_a_plugin_that_breaks_stops_only_its_own_dag(engine, caplog):
    plugin = Plugin()
    engine.scheduler = Scheduler(engine.settings, engine.store, plugins_from(clock=plugin))
    engine.add_dag(replace(dag_of("hours"), dag_id="by_plugin"))
    engine.add_dag(replace(dag_of(schedule="0 * * * *"), dag_id="by_cron"))
    engine.run()
    engine.clock.advance(hours=1)
    engine.run()
    assert engine.value("SELECT COUNT(DISTINCT dag_id) FROM dag_run") == 2
    plugin.hours.is_broken = True
    engine.clock.advance(hours=1)
    engine.run()
    assert engine.value("SELECT COUNT(*) FROM dag_run WHERE dag_id = 'by_cron'") == 2
    assert engine.value("SELECT COUNT(*) FROM dag_run WHERE dag_id = 'by_plugin'") == 1
    assert "timetable 'hours' of plugin 'clock': next_after(" in caplog.text
    assert "ValueError: no more hours" in caplog.text
