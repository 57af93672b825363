"""`atoll restart`."""

import json

import click

from atoll.cli.options import json_option, target_option
from atoll.cli.project import control_of


@click.command("restart")
@click.argument("service")
@target_option
@json_option
def command(service: str, target: str | None, as_json: bool) -> None:
    """Replace the processes of a service; where both can listen, the new one is ready before the old one stops."""
    names = control_of(target).restart(service)
    click.echo(json.dumps({"processes": names}) if as_json else f"restarting {', '.join(names)}")
