"""`orch completion`: the script that teaches a shell to complete orch's commands, DAGs and runs."""

import click
from click.shell_completion import get_completion_class

from orch.errors import OrchError

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, *, shell: str) -> None:
    """Print the completion script for your shell.

    Add one line to your shell's start-up file: bash and zsh: eval "$(orch completion bash)";
    fish: orch completion fish | source
    """
    script = get_completion_class(shell)
    if script is None:
        raise OrchError(
            f"this release of click has no completion for {shell}; use one of {', '.join(SHELLS)}"
        )
    click.echo(script(ctx.find_root().command, {}, "orch", "_ORCH_COMPLETE").source())
