"""XComs: any plain JSON value arrives as it was, and nothing else gets through."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch.errors import XComError
from orch.runner import xcom

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)
ANYTHING = st.recursive(
    PLAIN | st.floats() | st.text(st.characters()) | st.binary() | st.sets(st.integers()) | st.dates(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(st.characters()) | st.integers(), inner),
)  # fmt: skip


def encode(value: Any, max_bytes: int = 1_000_000) -> str:
    return xcom.encode(value, task_id="t", key="k", max_bytes=max_bytes)


@given(PLAIN)
def test_a_plain_value_arrives_as_it_was(value: Any) -> None:
    assert xcom.decode(encode(value)) == value


@given(PLAIN)
def test_the_limit_is_exact(value: Any) -> None:
    size = len(encode(value).encode())
    encode(value, max_bytes=size)
    with pytest.raises(XComError):
        encode(value, max_bytes=size - 1)


@given(ANYTHING)
def test_what_gets_through_is_strict_json_in_utf_8(value: Any) -> None:
    try:
        text = encode(value)
    except XComError:
        return
    assert (
        json.dumps(json.loads(text.encode()), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        == text
    )
