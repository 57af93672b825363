"""`atoll render asyncapi`."""

import asyncio
import json

import click

from atoll.cli.options import target_argument
from atoll.cli.project import find_target
from atoll.wire.asyncapi import asyncapi


@click.command("asyncapi")
@target_argument
@click.option("--version", default="0", show_default=True, help="Of the events, for its info.")
@click.option("--json", "as_json", is_flag=True, hidden=True, help="It is JSON anyway.")
def command(target: str | None, version: str, as_json: bool) -> None:  # noqa: ARG001
    """Print the AsyncAPI 3.0 document of the system's events."""
    description = asyncio.run(find_target(target).project().describe())
    click.echo(json.dumps(asyncapi(description, version), indent=2, ensure_ascii=False))
