"""The `orch` command."""

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click
from click.shell_completion import shell_complete

from orch.cli.edge import exit_code_of, open_closed_streams, refuse_undecodable
from orch.cli.lazy import LazyGroup
from orch.cli.site import Site

COMPLETE = "_ORCH_COMPLETE"
"""Shells set it to ask for completions."""


class OrchGroup(LazyGroup):
    """The outermost group: ends the process with one of the documented exit codes."""

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **extra: Any
    ) -> NoReturn:
        """Run the command that `args` name and exit: 0 done, 1 failed run or finding, 2 bad input.

        Click's own `main` is left out, since it answers a closed pipe with exit code 1.
        """
        argv = list(sys.argv[1:] if args is None else args)
        name = prog_name or "orch"
        site = Site()

        def command() -> object:
            refuse_undecodable(argv)
            if instruction := os.environ.get(COMPLETE):
                return shell_complete(self, {}, name, COMPLETE, instruction)
            with self.make_context(name, argv, obj=site, **extra) as ctx:
                return self.invoke(ctx)

        sys.exit(exit_code_of(command, lambda: site.home_folder, argv))


@click.group(
    "orch",
    cls=OrchGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="orch-core", prog_name="orch")
def cli() -> None:
    """Run DAGs of Python and shell work on a schedule, and know what happened.

    Begin with `orch up`, or with `orch run DAG`.
    """


def main() -> NoReturn:
    """Run the command line of this process."""
    open_closed_streams()
    cli.main(prog_name="orch")


if __name__ == "__main__":
    main()
