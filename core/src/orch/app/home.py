"""The home folder: what is in it, and who serves it."""

import stat
from pathlib import Path

from orch.errors import StoreError
from orch.processes import LockFile
from orch.settings import Settings


def make_folders(settings: Settings) -> None:
    """Make the folders of the home; only their owner may enter them. StoreError when they cannot be made."""
    for folder in (settings.core.home, settings.core.logs_folder, settings.core.run_folder):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the folder {str(folder)!r} cannot be made: {error.strerror};"
                " choose a home that this user may write with --home DIR or ORCH_HOME"
            ) from error
    if stat.S_IMODE(settings.core.run_folder.stat().st_mode) & 0o077:
        settings.core.run_folder.chmod(0o700)


def up_lock(settings: Settings) -> Path:
    """Return the lock file that `orch up` holds while it serves this home."""
    return settings.core.run_folder / "up.lock"


def is_served(settings: Settings) -> bool:
    """Return whether `orch up` runs for this home on this host."""
    return not LockFile.is_free(up_lock(settings))


def component_log(settings: Settings, role: str) -> Path:
    """Return where a component writes what it has to say."""
    return settings.core.logs_folder / "_components" / f"{role}.log"
