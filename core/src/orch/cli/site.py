"""Which home and dags folder this command works on, from options, environment and defaults."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from orch.errors import BadInput
from orch.settings import Settings, find_home, load_settings

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass
class Site:
    """The folders that options have named so far; one object per invocation of `orch`."""

    home: Path | None = None
    dags: Path | None = None

    @classmethod
    def of(cls, ctx: click.Context) -> "Site":
        """Return the site of this invocation."""
        return ctx.find_root().ensure_object(cls)

    @property
    def home_folder(self) -> Path:
        """The home, absolute: option `--home`, else ORCH_HOME, else `.orch` here."""
        return find_home(os.environ) if self.home is None else self.home.absolute()

    def settings(self) -> Settings:
        """Return the settings of this home; `--dags` wins over everything else."""
        overrides = {} if self.dags is None else {"core.dags_folder": str(self.dags)}
        return load_settings(self.home_folder, os.environ, overrides)


def with_settings(*, dags: bool = False) -> Callable[[Decorated], Callable[..., Any]]:
    """Add `--home` (and `--dags`) to a command and hand it the settings as argument `settings`."""

    def decorate(function: Decorated) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(*args: Any, home: Path | None, dags_folder: Path | None = None, **kwargs: Any) -> Any:
            site = Site.of(click.get_current_context())
            site.home, site.dags = home or site.home, dags_folder or site.dags
            return function(*args, settings=site.settings(), **kwargs)

        decorated = _HOME(command)
        return _DAGS(decorated) if dags else decorated

    return decorate


def require_dags_folder(folder: Path) -> None:
    """Raise BadInput unless the dags folder is there."""
    if not folder.is_dir():
        raise BadInput(f"dags folder {str(folder)!r} does not exist; name it with --dags DIR or ORCH_DAGS")


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")

_FOLDER = click.Path(file_okay=False, path_type=Path)
_HOME = click.option(
    "--home", type=_FOLDER, metavar="DIR", help="Folder of database, logs and settings [ORCH_HOME; .orch]."
)
_DAGS = click.option(
    "--dags", "dags_folder", type=_FOLDER, metavar="DIR", help="Folder of the DAG files [ORCH_DAGS; dags]."
)
