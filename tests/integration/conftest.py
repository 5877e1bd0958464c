"""Fixtures of the database tests: an engine whose invariants are checked afterwards, and what operations need."""

import pytest
from tests.integration.harness import Engine

from orch.operations.actor import Actor
from orch.operations.perform import Services


@pytest.fixture
def engine(tmp_path):
    engine = Engine.create(tmp_path / "home")
    yield engine
    engine.check()
    engine.store.close()


@pytest.fixture
def services(engine):
    return Services(engine.store, "LocalExecutor")


@pytest.fixture
def me():
    return Actor("me")
