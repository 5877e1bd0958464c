"""Task command and outcome: frozen values that survive their JSON."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orch.errors import BadInput
from orch.runner.command import COMMAND_FORMAT, TaskCommand
from orch.runner.outcome import OUTCOME_FORMAT, Outcome

AT = datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)
COMMAND = TaskCommand(
    ti_id=5,
    epoch=2,
    nonce="f" * 32,
    dag_id="weather",
    run_id="manual__1",
    run_type="manual",
    task_id="load",
    try_number=2,
    max_tries=3,
    logical_date=AT,
    run_after=AT,
    conf={"day": "2024-05-06", "nested": [1, {"a": None}]},
    dag_file="/dags/weather.py",
    dags_folder="/dags",
    inputs=(("a", "return_value", -1, '{"n":1}'), ("b", "return_value", -1, None)),
    execution_timeout_seconds=1.5,
)
OUTCOME = Outcome(
    kind="failed",
    started_at=AT,
    ended_at=AT,
    error="ValueError: \u2603",
    traceback="Traceback ...",
    retryable=False,
    reason="execution_timeout",
    xcoms=(("key", '"value"'),),
)


@pytest.mark.parametrize("value", [COMMAND, OUTCOME, replace(COMMAND, logical_date=None, inputs=())])
def test_a_message_survives_its_json(value: TaskCommand | Outcome) -> None:
    text = value.to_json()
    assert type(value).from_json(text) == value
    assert "\n" not in text


def test_times_are_written_with_offset_and_microseconds() -> None:
    assert json.loads(OUTCOME.to_json())["started_at"] == "2024-05-06T07:08:09.123456+00:00"
    assert json.loads(COMMAND.to_json())["logical_date"] == "2024-05-06T07:08:09.123456+00:00"


@pytest.mark.parametrize("value", [COMMAND, OUTCOME])
def test_fields_of_a_newer_minor_release_are_ignored(value: TaskCommand | Outcome) -> None:
    body = json.loads(value.to_json()) | {"from_the_future": 1}
    assert type(value).from_json(json.dumps(body)) == value


@pytest.mark.parametrize(("value", "newest"), [(COMMAND, COMMAND_FORMAT), (OUTCOME, OUTCOME_FORMAT)])
def test_a_newer_format_is_refused(value: TaskCommand | Outcome, newest: int) -> None:
    body = json.loads(value.to_json()) | {"format": newest + 1}
    with pytest.raises(BadInput, match="newer release of orch; upgrade"):
        type(value).from_json(json.dumps(body))


def test_the_nonce_is_not_printed() -> None:
    assert COMMAND.nonce not in repr(COMMAND)
