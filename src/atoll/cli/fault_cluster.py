"""`atoll fault --environment NAME`."""

import asyncio
import json

import click

from atoll.cli.cluster import connected
from atoll.cli.deployed import deployed
from atoll.cli.fault import read
from atoll.cli.options import environment_option, json_option, target_option
from atoll.kubernetes.faults import chosen, order
from atoll.supervisor.faults import FaultAsked


@click.command("fault")
@click.argument("what", nargs=-1, required=True, metavar="SERVICE... FAULT...")
@target_option
@environment_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def command(what: tuple[str, ...], target: str | None, environment: str, yes: bool, as_json: bool) -> None:
    """Let services of a cluster fail on purpose, where its environment says [faults] allowed = true.

    As on one machine: errors=0.5, latency=0.8, kill, off. A pod forgets it when it ends; `kill` deletes all pods.
    """
    asked = read(what)
    names = asyncio.run(_order(asked, target, environment, yes))
    if as_json:
        click.echo(json.dumps({"pods": names}))
    else:
        does = "deleted" if asked.kill else str(asked.fault) if asked.fault else "no fault any more"
        click.echo(f"{', '.join(names)}: {does}")


async def _order(asked: FaultAsked, target: str | None, environment: str, yes: bool) -> list[str]:
    wanted = await deployed(target, environment)
    members = chosen(wanted, asked.names, environment)
    if not yes and (asked.kill or asked.fault):
        what = "end" if asked.kill else "fail"
        click.confirm(f"Let {', '.join(asked.names)} in {wanted.namespace} {what} on purpose?", abort=True)
    async with connected(wanted) as api:
        return await order(api, members, None if asked.kill else asked.fault)
