"""Drop-in modules: plugins of one deployment that are plain files in a folder."""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from orch.errors import PluginError


def drop_ins_in(folder: Path) -> list[Path]:
    """Return the modules of the folder that are plugins: every `*.py` that does not begin with `_`, sorted."""
    if not folder.is_dir():
        raise PluginError(f"plugins folder {folder} does not exist; create it, or unset plugins.folder")
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))


def add_to_path(folder: Path) -> None:
    """Make the modules of the folder importable; it goes last, so that it cannot hide an installed module."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def import_drop_in(path: Path) -> ModuleType:
    """Import the file under its own name and return the module; PluginError when that name is taken or no name."""
    if not path.stem.isidentifier():
        raise PluginError(
            f"{path.name} is no name for a module; use letters, digits and _, as in my_plugin.py"
        )
    add_to_path(path.parent)
    spec = find_spec(path.stem)
    if spec is None or spec.origin is None or Path(spec.origin) != path:
        holder = spec.origin if spec else None
        raise PluginError(f"the name of {path.name} is taken by another module ({holder}); rename the file")
    return import_module(path.stem)
