"""Checking: import DAG files as the DAG processor does, without a database, and tell what is wrong."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from orch.dagfiles.acceptance import accept
from orch.dagfiles.discover import Found, discover
from orch.dagfiles.importer import Importer, stem_config
from orch.dagfiles.ownership import decide
from orch.dagfiles.results import ImportResult
from orch.dagfiles.sources import FileStat
from orch.dagfiles.tracker import Tracker
from orch.errors import NotFound
from orch.plugins import Plugins
from orch.settings import Settings


@dataclass(frozen=True, slots=True)
class Checked:
    """What the files of a folder are like."""

    results: list[ImportResult] = field(default_factory=list)
    """One for each file, by path."""
    left_out: list[str] = field(default_factory=list)
    """Files that mention neither orch nor airflow nor a DAG."""
    unseen: list[str] = field(default_factory=list)
    """Folders that cannot be read."""

    @property
    def skipped(self) -> int:
        """How many files are left out."""
        return len(self.left_out)

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing to report."""
        return not self.unseen and not any(result.problems for result in self.results)


def check(settings: Settings, plugins: Plugins, path: Path | None = None) -> Checked:
    """Import the files of the dags folder, or only those at or below `path`; nothing is stored.

    A path outside of the dags folder is checked as a dags folder of its own, a file with the folder it is in.
    """
    settings, below = _aim(settings, path)
    folder = settings.core.dags_folder
    found = _only(discover(folder), below, folder)
    tracker = Tracker(folder)
    changes = tracker.compare(found)
    with Importer(stem_config(settings, plugins), settings.dagfiles.parallelism) as importer:
        results = [accept(result, plugins) for result in importer.import_all(changes.to_import)]
    verdict = decide([*results, *changes.unusable], owners={})
    return Checked(verdict.decided, changes.left_out, found.problems)


def _aim(settings: Settings, path: Path | None) -> tuple[Settings, str]:
    """Return the settings with the dags folder to use, and what is to be checked in it (`.` for all)."""
    folder = settings.core.dags_folder
    wanted = (path or folder).absolute()
    if not wanted.exists():
        raise NotFound(f"there is no file or folder {str(wanted)!r}")
    if not wanted.is_relative_to(folder):
        folder = wanted if wanted.is_dir() else wanted.parent
        settings = replace(settings, core=replace(settings.core, dags_folder=folder))
    return settings, wanted.relative_to(folder).as_posix()


def _only(found: Found, below: str, folder: Path) -> Found:
    """Return the part of what was found; a file that is named is checked even when it is ignored."""
    if below == ".":
        return found

    def is_wanted(path: str) -> bool:
        return path == below or path.startswith(f"{below}/")

    files = {path: stat for path, stat in found.files.items() if is_wanted(path)}
    unreadable = {path: reason for path, reason in found.unreadable.items() if is_wanted(path)}
    if not files and not unreadable and (folder / below).is_file():
        files[below] = FileStat.look(folder / below)
    return Found(files, unreadable, found.problems)
