"""`atoll render openapi`."""

import asyncio
import json

import click

from atoll.cli.options import target_argument
from atoll.cli.project import find_target
from atoll.wire.openapi import openapi


@click.command("openapi")
@target_argument
@click.option("--version", default="0", show_default=True, help="Of the interface, for its info.")
@click.option("--all", "everything", is_flag=True, help="Every contract, not only what the gateway exposes.")
@click.option("--json", "as_json", is_flag=True, hidden=True, help="It is JSON anyway.")
def command(target: str | None, version: str, everything: bool, as_json: bool) -> None:  # noqa: ARG001
    """Print the OpenAPI 3.1 document of the system's HTTP interface."""
    description = asyncio.run(find_target(target).project().describe())
    click.echo(json.dumps(openapi(description, version, exposed_only=not everything), indent=2, ensure_ascii=False))
