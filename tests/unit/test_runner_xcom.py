"""XComs: what may be handed over, and what is refused with its place and a remedy."""

import decimal
import json
import pathlib
from collections import Counter, OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any

import pytest

from orch.errors import XComError
from orch.runner import xcom

Point = namedtuple("Point", "x y")


@dataclass
class Row:
    number: int


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


def encode(value: Any, max_bytes: int = 10_000) -> str:
    return xcom.encode(value, task_id="load", key="return_value", max_bytes=max_bytes)


def circle() -> list[Any]:
    loop: dict[str, Any] = {}
    loop["self"] = [loop]
    return [1, loop]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -5,
        10**50,
        1.5,
        -0.0,
        "",
        "snow \u2603 \U0001f600 \u2028 \\u0000",
        [],
        {},
        [1, [2, {"a": None}]],
    ],
)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    assert xcom.decode(encode(value)) == value


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        ((1, (2,)), [1, [2]]),
        (OrderedDict(a=1), {"a": 1}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (Colour.RED, "red"),
        ([Level.HIGH], [3]),
    ],
)
def test_variants_of_plain_values_arrive_plain(value: Any, arrives: Any) -> None:
    assert xcom.decode(encode(value)) == arrives


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"rows": [1, {2}]}, "holds a value of type set at ['rows'][1]; hand over sorted(...) of it"),
        (datetime(2024, 1, 1), "holds a value of type datetime.datetime; hand over its .isoformat()"),
        ([timedelta(1)], "type datetime.timedelta at [0]; hand over its .total_seconds()"),
        (decimal.Decimal("1.1"), "type decimal.Decimal; hand over str(...) of it"),
        (pathlib.PosixPath("/x"), "hand over str(...) of it"),
        (b"x", "type bytes; decode it, or write it to a file and hand over the path"),
        (Point(1, 2), "hand over its ._asdict()"),
        (Row(1), "hand over dataclasses.asdict(...) of it"),
        ((n for n in [1]), "type generator; hand over sorted(...) of it"),
        (object(), "type object; return a path or an id instead"),
        ({1: "a"}, "holds the key 1 of type int; use str keys"),
        ({"a": {None: 1}}, "holds the key None of type NoneType at ['a']; use str keys"),
        (float("nan"), "holds nan, which JSON has no word for; hand over None instead"),
        ([0.0, float("-inf")], "holds -inf at [1], which JSON"),
        ("a\ud800", "holds a text with a lone surrogate (\\ud800)"),
        ({"k\udfff": 1}, "holds a text with a lone surrogate (\\udfff)"),
        (["a\0b"], "holds a text with a NUL character at [0]"),
        (circle(), "holds a dict that contains itself at [1]['self'][0]; hand over a copy without the loop"),
        (nested(101), "holds more than 100 levels of nesting"),
        ([10**5000], "holds an integer with too many digits at [0]; hand over a text"),
    ],
)
def test_other_values_are_refused_with_place_and_remedy(value: Any, message: str) -> None:
    with pytest.raises(XComError) as caught:
        encode(value)
    assert str(caught.value).startswith("XCom 'return_value' of task 'load' holds ")
    assert message in str(caught.value)


def test_the_same_list_twice_is_no_circle() -> None:
    shared = [1]
    assert encode({"a": shared, "b": shared}) == '{"a":[1],"b":[1]}'


def test_the_deepest_allowed_nesting_passes() -> None:
    assert xcom.decode(encode(nested(100))) == nested(100)


@pytest.mark.parametrize("letter", ["x", "\u2603", "\\"])
def test_the_limit_counts_bytes_of_the_json_text(letter: str) -> None:
    text = letter * 20
    size = len(json.dumps(text, ensure_ascii=False).encode())
    assert encode(text, max_bytes=size)
    with pytest.raises(XComError, match=f"has .*{size}|more than"):
        encode(text, max_bytes=size - 1)


def test_a_value_that_is_too_large_is_refused_with_a_remedy() -> None:
    with pytest.raises(XComError) as caught:
        encode(["x" * 600, "y" * 500], max_bytes=1000)
    assert str(caught.value) == (
        "XCom 'return_value' of task 'load' has 1,107 bytes as JSON; 1,000 are allowed "
        "(worker.xcom_max_bytes): write it to a file or table and return its path or id instead"
    )


def test_the_size_of_a_huge_value_is_not_measured() -> None:
    with pytest.raises(XComError, match="has more than 16,000 bytes as JSON; 1,000 are allowed"):
        encode(["x" * 600] * 100, max_bytes=1000)


def test_a_megabyte_passes_under_the_default_limit() -> None:
    assert len(encode("x" * (1_048_576 - 2), max_bytes=1_048_576)) == 1_048_576


@pytest.mark.parametrize("key", ["", "a\nb", "x" * 251, 5, None])
def test_an_impossible_key_is_refused(key: Any) -> None:
    with pytest.raises(
        XComError, match="task 'load': an XCom key is a text of 1 to 250 printable characters"
    ):
        xcom.check_key("load", key)
