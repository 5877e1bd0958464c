"""Finders of modules in a layout: what it stores can be imported, code behind its links to live files cannot."""

import importlib.util
import os
from collections.abc import Callable, Sequence
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from pathlib import Path
from types import ModuleType
from typing import Any

INSTALLED = "site-packages"
VIRTUAL_ENVIRONMENT = "pyvenv.cfg"

SourceLoader = Callable[[str, str], SourceFileLoader]


def finder_in(layout: str, entry: str, loader: SourceLoader) -> "LayoutFinder | NothingFinder":
    """Return the finder of an entry of the import path in a layout; behind a link to a live folder it finds nothing.

    Hidden folders, `site-packages` and virtual environments are never stored, so modules are found there as they are.
    """
    return LayoutFinder(layout, entry, loader) if _may_import(layout, entry) else NothingFinder()


class NothingFinder:
    """Finds nothing. It stands for a folder that had no code when it was stored."""

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return None."""


class LayoutFinder(FileFinder):
    """Finds the modules that a folder of a layout stores."""

    def __init__(self, layout: str, entry: str, loader: SourceLoader) -> None:
        details: Any = loader  # a FileFinder only calls it
        super().__init__(entry, (ExtensionFileLoader, EXTENSION_SUFFIXES), (details, SOURCE_SUFFIXES))
        self._layout = layout
        self._loader = loader

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return where a stored module is; a folder that is a live link is a namespace, whatever has come into it."""
        spec = super().find_spec(fullname, target)
        if spec is None or spec.origin is None or self._is_stored(spec.origin):
            return spec
        return self._stored_file(fullname) or _namespace(fullname, spec.submodule_search_locations)

    def _is_stored(self, file: str) -> bool:
        # A large extension module beside code is not stored; it is linked as it is, since the code needs it.
        is_extension = file.endswith(tuple(EXTENSION_SUFFIXES))
        return _may_import(self._layout, str(Path(file).parent) if is_extension else file)

    def _stored_file(self, fullname: str) -> ModuleSpec | None:
        """Return the stored file of this name, which a folder that has become a package would hide."""
        path = Path(self.path, fullname.rpartition(".")[2] + SOURCE_SUFFIXES[0])
        file = str(path)
        if not path.is_file() or not self._is_stored(file):
            return None
        return importlib.util.spec_from_file_location(fullname, file, loader=self._loader(fullname, file))


def _namespace(fullname: str, locations: Sequence[str] | None) -> ModuleSpec | None:
    if locations is None:
        return None
    spec = ModuleSpec(fullname, None, is_package=True)
    spec.submodule_search_locations = list(locations)
    return spec


def _may_import(layout: str, path: str) -> bool:
    root = os.path.realpath(layout)
    real = os.path.realpath(path)
    return real == root or real.startswith(root + os.sep) or _is_never_stored(layout, path)


def _is_never_stored(layout: str, path: str) -> bool:
    """Return whether the path is in a folder that no state of the dags folder contains, code or not."""
    here = Path(layout)
    for part in Path(path).relative_to(layout).parts:
        here /= part
        is_kept_out = part.startswith(".") or part == INSTALLED
        if is_kept_out or (here / VIRTUAL_ENVIRONMENT).is_file():
            return True
    return False
