"""What all tests share: compiled code, so that hundreds of short processes do not compile orch anew each."""

import os
import sys
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Let this process and all that tests start keep bytecode, in a folder away from the sources."""
    if "PYTHONPYCACHEPREFIX" not in os.environ:
        cache = getattr(config, "cache", None)
        folder = str(cache.mkdir("bytecode")) if cache else tempfile.mkdtemp(prefix="orch-bytecode-")
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = folder
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
