"""The `orch` command."""

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from orch.cli.edge import exit_code_of
from orch.cli.lazy import LazyGroup
from orch.cli.site import Site


class OrchGroup(LazyGroup):
    """The outermost group: ends the process with one of the documented exit codes."""

    def main(self, args: Sequence[str] | None = None, *pos: Any, **extra: Any) -> NoReturn:
        """Run the command that `args` name and exit: 0 done, 1 failed run or finding, 2 bad input."""
        argv = list(sys.argv[1:] if args is None else args)
        site = Site()
        extra.update(standalone_mode=False, obj=site)
        call = super().main
        sys.exit(exit_code_of(lambda: call(argv, *pos, **extra), lambda: site.home_folder, argv))


@click.group(
    cls=OrchGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
def cli() -> None:
    """Run DAGs of Python, shell and SQL work on a schedule, and know what happened.

    Begin with `orch up`, or with `orch run DAG`.
    """


def main() -> NoReturn:
    """Run the command line of this process."""
    cli.main(prog_name="orch")


if __name__ == "__main__":
    main()
