"""Discovery: which plugins there are, before any of them is imported."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from orch.errors import PluginError
from orch.plugins.drop_ins import drop_ins_in, import_drop_in
from orch.plugins.report import Package
from orch.settings import PluginsSettings

ENTRY_POINT_GROUP = "orch"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One plugin that could be loaded."""

    name: str
    origin: str
    load: Callable[[], object]
    """Imports the plugin and returns the object with its hook implementations."""
    package: Package | None = None
    """None for a drop-in module."""

    @property
    def where(self) -> str:
        """Where it comes from, for people: `orch-local 0.1.0` or `drop-in /srv/plugins/hello.py`."""
        return f"{self.package.name} {self.package.version}" if self.package else f"drop-in {self.origin}"


def discover(settings: PluginsSettings) -> list[Candidate]:
    """Return installed plugins and drop-ins, sorted by name; PluginError when two have the same name."""
    found = sorted([*_installed(), *_drop_ins(settings)], key=lambda candidate: candidate.name)
    for one, other in pairwise(found):
        if one.name == other.name:
            raise PluginError(
                f"two plugins are named {one.name!r}: {one.where} and {other.where}; "
                "rename or uninstall one of them"
            )
    return found


def _installed() -> Iterable[Candidate]:
    # Imported late: it takes 50 ms, and the commands that need no plugin should not pay for it.
    from importlib_metadata import entry_points

    for point in entry_points(group=ENTRY_POINT_GROUP):
        yield Candidate(point.name, point.value, point.load, package=point.dist)


def _drop_ins(settings: PluginsSettings) -> Iterable[Candidate]:
    if settings.folder is None:
        return
    for path in drop_ins_in(settings.folder):
        yield Candidate(path.stem, str(path), partial(import_drop_in, path))
