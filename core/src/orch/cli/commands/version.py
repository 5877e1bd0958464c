"""`orch version`: what is installed."""

import json
import platform
from importlib import metadata

import click

from orch.cli.site import json_option


@click.command()
@json_option
def version(*, as_json: bool) -> None:
    """Print the version of orch."""
    orch, python = metadata.version("orch-core"), platform.python_version()
    if as_json:
        click.echo(json.dumps({"orch": orch, "python": python, "platform": platform.platform()}))
    else:
        click.echo(f"orch {orch} (Python {python})")
