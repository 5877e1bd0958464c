"""What tests with real processes share: a site of their own, ended and verified afterwards."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e.site import ORCH, Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A home and a dags folder; at the end all processes are gone and the database has been verified."""
    site = Site(tmp_path)
    site.dags.mkdir()
    yield site
    site.close()


@pytest.fixture
def start(site: Site) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command on the site and let it run, stdout and stderr in one pipe; at the end it is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*args: str, **values: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [ORCH, *args],
            cwd=site.folder,
            env=site.environment(**values),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()  # all that it has started dies with it
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
