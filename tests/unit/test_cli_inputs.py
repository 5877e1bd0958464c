"""What people type into options: JSON objects and moments."""

from datetime import UTC, datetime

import click
import pytest

from orch.cli.inputs import json_object, moment

CTX = click.Context(click.Command("x"))
OPTION = click.Option(["--conf"])


def test_an_object_is_taken():
    assert json_object(CTX, OPTION, '{"a": [1, null]}') == {"a": [1, None]}


@pytest.mark.parametrize(
    "text", ["{", "", "nope", "{'a': 1}", '{"a": NaN}', '{"a": Infinity}', "[" * 100_000]
)
def test_what_is_not_json_is_refused_with_an_example(text):
    with pytest.raises(click.BadParameter, match=r"is not JSON .*write it like"):
        json_object(CTX, OPTION, text)


@pytest.mark.parametrize("text", ["[]", "1", '"a"', "null", "true"])
def test_json_that_is_no_object_is_refused(text):
    with pytest.raises(click.BadParameter, match="not an object"):
        json_object(CTX, OPTION, text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a":' * 101 + "1" + "}" * 101, "nested deeper than 100 levels"),
        ('{"a":' * 976 + "1" + "}" * 976, "nested deeper than 100 levels|recursion"),
        ('{"a": {"b": [0, "\\ud800"]}}', r"conf\.a\.b\[1\] has"),
        ('{"a": "\\u0000"}', "conf.a has a NUL"),
        ('{"a": "' + "x" * 1_048_576 + '"}', "bytes of JSON"),
        ('{"a": 1e999}', "conf.a is inf"),
    ],
)
def test_an_object_that_no_task_could_read_is_refused_with_its_place(text, place):
    with pytest.raises(click.BadParameter, match=place) as error:
        json_object(CTX, OPTION, text)
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "1899-12-31", "9001-01-01"]
)
def test_moments_near_the_ends_of_the_calendar_are_refused(text):
    with pytest.raises(click.BadParameter, match="outside of the years 1900 to 9000"):
        moment(CTX, OPTION, text)


def test_a_long_text_is_not_repeated_in_full():
    with pytest.raises(click.BadParameter) as error:
        json_object(CTX, OPTION, "x" * 10_000)
    assert len(error.value.message) < 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", datetime(2026, 1, 31)),
        ("2026-07-01T12:00", datetime(2026, 7, 1, 12)),
        ("2026-01-31T06:00+01:00", datetime(2026, 1, 31, 5, tzinfo=UTC)),
        ("2026-01-31T06:00:00Z", datetime(2026, 1, 31, 6, tzinfo=UTC)),
    ],
)
def test_moments_are_read(text, expected):
    assert moment(CTX, OPTION, text) == expected


def test_no_moment_stays_none():
    assert moment(CTX, OPTION, None) is None


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "31.01.2026"])
def test_what_is_no_moment_is_refused_with_an_example(text):
    with pytest.raises(click.BadParameter, match="is not a moment; write"):
        moment(CTX, OPTION, text)
