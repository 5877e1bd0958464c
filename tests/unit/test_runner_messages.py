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


@pytest.mark.parametrize(
    ("field", "odd"),
    [
        ("kind", "up_for_retry"),
        ("kind", ["success"]),
        ("started_at", None),
        ("started_at", 1),
        ("started_at", "2024-05-06T07:08:09"),
        ("ended_at", "9999-12-31T23:59:59-10:00"),
        ("ended_at", "0001-01-01T00:00:00+10:00"),
        ("ended_at", "1969-12-31T23:59:59+00:00"),
        ("error", 5),
        ("error", "\udc80"),
        ("reason", ["x"]),
        ("traceback", {}),
        ("retryable", "yes"),
        ("format", "1"),
        ("xcoms", {"k": "1"}),
        ("xcoms", ["kv"]),
        ("xcoms", [["k"]]),
        ("xcoms", [["k", ["not", "text"]]]),
        ("xcoms", [[None, "1"]]),
        ("xcoms", [["", "1"]]),
        ("xcoms", [["k", "\ud800"]]),
        ("xcoms", [["k", "1"], ["k", "2"]]),
    ],
)
def test_an_odd_outcome_is_refused(field: str, odd: object) -> None:
    body = json.loads(OUTCOME.to_json()) | {field: odd}
    with pytest.raises(BadInput, match=r"^not an outcome: "):
        Outcome.from_json(json.dumps(body))


@pytest.mark.parametrize("text", ["", "[]", "5", "[" * 100_000, '{"kind":"success"}'])
def test_what_is_no_outcome_at_all_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"^not an outcome: "):
        Outcome.from_json(text)


def test_moments_of_an_outcome_are_read_in_utc() -> None:
    body = json.loads(OUTCOME.to_json()) | {"started_at": "2024-05-06T09:08:09.123456+02:00"}
    assert Outcome.from_json(json.dumps(body)).started_at.isoformat() == "2024-05-06T07:08:09.123456+00:00"


@pytest.mark.parametrize(
    "value", [replace(COMMAND, conf={"k": "\xe9" * 100}), replace(OUTCOME, error="\xe9" * 100)]
)
def test_letters_beyond_ascii_take_their_utf_8_bytes(value: TaskCommand | Outcome) -> None:
    assert "\xe9" * 100 in value.to_json()


def test_the_nonce_is_not_printed() -> None:
    assert COMMAND.nonce not in repr(COMMAND)
