"""`atoll destroy`."""

import asyncio

import click

from atoll.cli.cluster import released
from atoll.cli.declared import declared
from atoll.cli.options import environment_option, target_option


@click.command("destroy")
@target_option
@environment_option
@click.option("--data", "with_data", is_flag=True, help="Also volumes and secrets: nothing can bring them back.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(target: str | None, environment: str, with_data: bool, yes: bool) -> None:
    """Remove the system from the cluster. Its volumes and secrets stay, unless told otherwise."""
    asyncio.run(_destroy(target, environment, with_data, yes))


async def _destroy(target: str | None, environment: str, with_data: bool, yes: bool) -> None:
    wanted = await declared(target, environment)
    what = "with all of its data" if with_data else "without its volumes and secrets"
    async with released(wanted, as_lines=True) as release:
        if not yes:
            # Whether there is a cluster, and whether it lets us see, before anybody is asked.
            await release.revisions()
            click.confirm(f"Remove {wanted.system} from the namespace {wanted.namespace}, {what}?", abort=True)
        count = await release.destroy(click.echo, with_data=with_data)
    click.echo(f"{count} objects of {wanted.system} are removed from the namespace {wanted.namespace}")
