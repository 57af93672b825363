"""`atoll check`."""

import asyncio
import json

import click

from atoll.cli.options import json_option, target_argument
from atoll.cli.project import find_target


@click.command("check")
@target_argument
@json_option
def command(target: str | None, as_json: bool) -> None:
    """Find everything that is wrong with the system, without running it.

    Exit status 0 if nothing is, 1 with all problems otherwise.
    """
    description = asyncio.run(find_target(target).project().describe())
    operations = sum(len(contract.operations) for contract in description.contracts)
    counts = {
        "members": len(description.members),
        "operations": operations,
        "topics": len(description.topics),
    }
    if as_json:
        click.echo(json.dumps({"system": description.name, **counts, "problems": []}))
        return
    listed = ", ".join(f"{count} {what if count != 1 else what.removesuffix('s')}" for what, count in counts.items())
    click.echo(f"{description.name} is in order: {listed}")
