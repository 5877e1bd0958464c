"""What a run may be asked for: confs and logical dates that every later reader can read back."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from orch.errors import BadInput
from orch.operations.conf import MAX_CONF_BYTES, MAX_CONF_DEPTH, check_conf
from orch.operations.logical_date import check_logical_date


def nested(levels: int) -> dict[str, Any]:
    """Return an object of so many levels, itself counted."""
    value: Any = 1
    for _ in range(levels - 1):
        value = [value]
    return {"a": value}


def refusal(conf: object) -> str:
    with pytest.raises(BadInput) as caught:
        check_conf(conf)
    str(caught.value).encode()
    return str(caught.value)


@pytest.mark.parametrize(
    "conf", [{}, {"": None}, {"a.b": [True, 1.5, "é\n", {"c": ()}]}, nested(MAX_CONF_DEPTH), {"n": 10**4000}]
)
def test_plain_json_is_taken(conf):
    check_conf(conf)


@pytest.mark.parametrize("levels", [MAX_CONF_DEPTH + 1, 976, 100_000])
def test_a_conf_that_is_nested_too_deep_is_refused_without_recursion(levels):
    text = refusal(nested(levels))
    assert text.startswith("conf.a[0][0]")
    assert text.endswith("is nested deeper than 100 levels; make the conf flatter")


def test_a_list_that_holds_itself_is_refused():
    loop: list[Any] = []
    loop.append(loop)
    assert "nested deeper" in refusal({"loop": loop})


def test_lists_that_share_their_parts_do_not_hold_up_the_check():
    value: Any = 1
    for _ in range(60):
        value = [value, value]
    assert "more than 1048576 values" in refusal({"a": value})


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        ([1], "conf is a list; give a JSON object"),
        ({"a": {"b": [0, 1, 2, float("nan")]}}, "conf.a.b[3] is nan, which JSON does not have"),
        ({"a": float("-inf")}, "conf.a is -inf"),
        ({"a": ["\ud800"]}, r"conf.a[0] has '\ud800', which is no character; write valid UTF-8"),
        ({"a": {"\udfffx": 1}}, r"key '\udfffx' of conf.a has '\udfff'"),
        ({"a": "x\0y"}, r"conf.a has a NUL character (\u0000); leave it out"),
        ({"x\0y": 1}, r"key 'x\x00y' of conf has a NUL"),
        ({"a b": {"c": {1}}}, "conf['a b'].c is a set, which JSON does not have"),
        ({"a": {1: 2}}, "a key of conf.a is 1, which is no text; write '1'"),
        ({"n": 10**5000}, "conf is not plain JSON"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(conf, text):
    assert text in refusal(conf)


def test_the_size_counts_in_bytes_of_utf8():
    rest = len(json.dumps({"a": ""}))
    check_conf({"a": "x" * (MAX_CONF_BYTES - rest)})
    assert "put large data into a file" in refusal({"a": "x" * (MAX_CONF_BYTES - rest + 1)})
    assert "bytes of JSON" in refusal({"a": "é" * (MAX_CONF_BYTES // 2)})


def test_many_values_under_a_long_key_are_looked_at_quickly():
    check_conf({"k" * 500_000: [[]] * 100_000})


def test_a_long_place_is_shortened():
    assert len(refusal({"k" * 10_000: {1}})) < 300


def test_a_logical_date_is_returned_in_utc():
    date = datetime(2026, 1, 31, 6, tzinfo=timezone(timedelta(hours=1)))
    assert check_logical_date(date) == datetime(2026, 1, 31, 5, tzinfo=UTC)


@pytest.mark.parametrize("text", ["1900-01-01T00:00+00:00", "9000-12-31T23:59:59+00:00"])
def test_the_first_and_the_last_date_are_taken(text):
    check_logical_date(datetime.fromisoformat(text))


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
        "1900-01-01T00:00:00+01:00",
        "9000-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+00:00",
    ],
)
def test_dates_near_the_ends_of_the_calendar_are_refused(text):
    with pytest.raises(BadInput, match="outside of the years 1900 to 9000"):
        check_logical_date(datetime.fromisoformat(text))


def test_a_date_without_an_offset_is_refused():
    with pytest.raises(BadInput, match="has no time zone"):
        check_logical_date(datetime(2026, 1, 31))
