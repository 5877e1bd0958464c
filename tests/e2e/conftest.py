"""What tests with real processes share: a site of their own, ended and verified afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A home and a dags folder; at the end all processes are gone and the database has been verified."""
    site = Site(tmp_path)
    site.dags.mkdir()
    yield site
    site.close()
