"""`atoll destroy`."""

import asyncio
import json
from functools import partial

import click

from atoll.cli.cluster import released
from atoll.cli.deployed import deployed
from atoll.cli.options import environment_option, json_option, target_option


@click.command("destroy")
@target_option
@environment_option
@click.option("--data", "with_data", is_flag=True, help="Also volumes and secrets: nothing can bring them back.")
@click.option("--timeout", default=300.0, show_default=True, help="Seconds for its pods to end.")
@click.option("--force", is_flag=True, help="Also while another deploys, from whom it takes over.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def command(
    target: str | None, environment: str, with_data: bool, timeout: float, force: bool, yes: bool, as_json: bool
) -> None:
    """Remove the system from the cluster. Its volumes and secrets stay, unless told otherwise."""
    asyncio.run(_destroy(target, environment, with_data, timeout, force, yes, as_json))


async def _destroy(
    target: str | None, environment: str, with_data: bool, timeout: float, force: bool, yes: bool, as_json: bool
) -> None:
    wanted = await deployed(target, environment)
    what = "with all of its data" if with_data else "without its volumes and secrets"
    async with released(wanted, timeout, as_lines=True) as release:
        if not yes:
            # Whether there is a cluster, and whether it lets us see, before anybody is asked.
            await release.revisions()
            click.confirm(
                f"Remove {wanted.system} from the namespace {wanted.namespace}, {what}?", abort=True, err=as_json
            )
        removed = await release.destroy(partial(click.echo, err=as_json), with_data=with_data, is_forced=force)
    if as_json:
        click.echo(json.dumps({"removed": [str(each) for each in removed]}))
        return
    click.echo(f"{len(removed)} objects of {wanted.system} are removed from the namespace {wanted.namespace}")
