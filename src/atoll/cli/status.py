"""`atoll status`."""

import asyncio

import click
import msgspec

from atoll.cli.console import console
from atoll.cli.options import elsewhere_option, json_option, target_argument
from atoll.cli.problems import styled
from atoll.cli.project import control_of
from atoll.cli.table import headline, status_table
from atoll.supervisor.breakers import with_breakers
from atoll.supervisor.children import problem_of


@click.command("status")
@target_argument
@elsewhere_option
@json_option
def command(target: str | None, as_json: bool) -> int:
    """Show what runs, what waits for what, and why.

    Exit status 0 if everything is ready, 1 if something is not, 3 if nothing runs here.
    """
    status = asyncio.run(with_breakers(control_of(target).status()))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(status)).decode())
    else:
        output = console()
        output.print(headline(status))
        output.print(status_table(status))
        for name, url in status.watching.items():
            output.print(f"{name:<14}{url}")
        for problem in status.problems:
            click.echo(styled(problem_of(problem)))
    return 0 if status.ready else 1
