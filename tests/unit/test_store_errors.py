"""Errors of the driver in orch's words: which ones are worth another try, and which ones never end."""

import sqlite3

import pytest

from orch.store.engine import StoreRefused, StoreUnavailable, translate


@pytest.mark.parametrize("value", [["not", "text"], object()])
def test_a_value_that_cannot_be_bound_is_refused_and_the_store_is_well(value: object) -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.Error) as caught:
        connection.execute("SELECT ?", (value,))
    connection.close()
    assert type(translate(caught.value)) is StoreRefused
    assert str(translate(caught.value)).startswith("the database refused a value: ")


def test_a_closed_connection_is_no_refused_value() -> None:
    connection = sqlite3.connect(":memory:")
    connection.close()
    with pytest.raises(sqlite3.ProgrammingError) as caught:
        connection.execute("SELECT 1")
    assert isinstance(translate(caught.value), StoreUnavailable)
