"""`atoll rollback`."""

import asyncio
import json

import click

from atoll.cli.cluster import released
from atoll.cli.deploy import show_changes
from atoll.cli.deployed import deployed
from atoll.cli.options import environment_option, json_option, target_option
from atoll.kubernetes.revision import Entry


@click.command("rollback")
@click.argument("revision", type=int, required=False)
@target_option
@environment_option
@click.option("--list", "is_list", is_flag=True, help="Show the revisions that can be brought back.")
@click.option("--timeout", default=300.0, show_default=True, help="Seconds for each stage to come up.")
@click.option("--force", is_flag=True, help="Also while another deploys, from whom it takes over.")
@json_option
def command(
    revision: int | None,
    target: str | None,
    environment: str,
    is_list: bool,
    timeout: float,
    force: bool,
    as_json: bool,
) -> None:
    """Bring back REVISION, or what was deployed before the last; from a deployment that failed, the last.

    Databases stay as they are.
    """
    asyncio.run(_rollback(revision, target, environment, is_list, timeout, force, as_json))


async def _rollback(
    revision: int | None,
    target: str | None,
    environment: str,
    is_list: bool,
    timeout: float,
    force: bool,
    as_json: bool,
) -> None:
    wanted = await deployed(target, environment)
    async with released(wanted, timeout, as_lines=as_json) as release:
        if is_list:
            _list(await release.revisions(), as_json=as_json)
            return
        number, changes = await release.rollback(revision, is_forced=force)
    if as_json:
        click.echo(json.dumps({"revision": number}))
        return
    show_changes(changes)
    click.echo(f"{wanted.system} is back: revision {number} in {wanted.namespace}")


def _list(revisions: list[Entry], *, as_json: bool) -> None:
    if as_json:
        found = [{"revision": each.number, "made": each.made, "note": each.note} for each in revisions]
        click.echo(json.dumps(found))
        return
    for each in reversed(revisions):
        click.echo(f"{each.number:>4}  {each.made}  {each.note}".rstrip())
