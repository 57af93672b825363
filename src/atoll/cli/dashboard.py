"""`atoll dashboard`."""

import sys
from pathlib import Path

import click

from atoll.cli.options import elsewhere_option, json_option, target_argument
from atoll.cli.project import control_of
from atoll.engines.collector import is_loopback
from atoll.supervisor.home import Home
from atoll.supervisor.status import Status


@click.command("dashboard")
@target_argument
@elsewhere_option
@click.option("--print", "only_print", is_flag=True, help="Print the address, and open no browser.")
@json_option
def command(target: str | None, only_print: bool, as_json: bool) -> None:
    """Open the dashboard of the system that runs here, and print its address."""
    address = address_of(control_of(target).status())
    click.echo(f'{{"url": "{address}"}}' if as_json else address)
    if sys.stdout.isatty() and not only_print and not as_json:
        click.launch(address)


def address_of(status: Status) -> str:
    """Its address, with its token where one is asked for."""
    if is_loopback(status.dashboard.partition("//")[2]):
        return status.dashboard
    token = Home(Path(status.state)).dashboard_token
    return f"{status.dashboard}/?token={token.read_text().strip()}" if token.exists() else status.dashboard
