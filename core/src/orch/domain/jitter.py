"""Jitter: how much later than their ticks the runs of a DAG begin, so that many DAGs do not begin at once."""

import hashlib
from datetime import timedelta

_MICROSECOND = timedelta(microseconds=1)


def offset_of(dag_id: str, jitter: timedelta) -> timedelta:
    """Return a span from zero up to `jitter`, itself excluded: the same for one DAG always and everywhere."""
    width = jitter // _MICROSECOND
    if width <= 0:
        return timedelta(0)
    return int.from_bytes(hashlib.sha256(dag_id.encode()).digest()) % width * _MICROSECOND
