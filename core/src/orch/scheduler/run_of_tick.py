"""The run of a tick: what it is called, what data it stands for, and when it may begin."""

from datetime import datetime, timedelta

from orch.domain.dagspec import DagSpec
from orch.domain.jitter import offset_of
from orch.domain.timetables import Timetable
from orch.store.queries.run_creation import NewRun


def run_of_tick(spec: DagSpec, timetable: Timetable, tick: datetime) -> NewRun:
    """Return the scheduled run of a tick; `run_after` is the tick, later by the jitter of the DAG."""
    logical_date = timetable.logical_date(tick)
    return NewRun(
        dag_id=spec.dag_id,
        run_id=f"scheduled__{logical_date.isoformat()}",
        run_type="scheduled",
        run_after=tick + offset_of(spec.dag_id, timedelta(seconds=spec.jitter_seconds)),
        logical_date=logical_date,
        data_interval=timetable.interval_of(tick),
        triggered_by="timetable",
    )
