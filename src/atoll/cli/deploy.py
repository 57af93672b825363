"""`atoll deploy`."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TypedDict, Unpack

import click

from atoll.cli.cluster import released
from atoll.cli.declared import assembled
from atoll.cli.deployed import remember
from atoll.cli.exits import PROBLEMS
from atoll.cli.options import dashboard_option, environment_option, json_option, target_option
from atoll.errors import NO_SUCH_SERVICE, AtollError
from atoll.kubernetes.conflicts import Conflict
from atoll.kubernetes.deploy import Changes
from atoll.kubernetes.objects import key_of
from atoll.kubernetes.render import objects
from atoll.model.suggest import nearest


class _How(TypedDict):
    """may_break: consumers that are deployed. force: takes over from another. timeout: seconds for each stage."""

    only_diff: bool
    may_break: bool
    force: bool
    timeout: float
    note: str
    as_json: bool


@click.command("deploy")
@click.argument("services", nargs=-1)
@target_option
@environment_option
@dashboard_option
@click.option("--diff", "only_diff", is_flag=True, help="Show what would change, and stop; 1 if something would.")
@click.option("--breaking", "may_break", is_flag=True, help="Also if a contract or event breaks what is deployed.")
@click.option("--force", is_flag=True, help="Also while another deploys, from whom it takes over.")
@click.option("--timeout", default=300.0, show_default=True, help="Seconds for each stage to come up.")
@click.option("--note", default="", help="Why, for the list of revisions.")
@json_option
def command(services: tuple[str, ...], target: str | None, environment: str, **how: Unpack[_How]) -> int:
    """Bring the cluster to what is declared here: the whole system, or SERVICES alone.

    Shows what changes; prepares databases before their services; waits until everything is ready, and says why if
    something is not. What was there serves until then.
    """
    return asyncio.run(_deploy(services, target, environment, how))


async def _deploy(services: tuple[str, ...], target: str | None, environment: str, how: _How) -> int:
    as_json, only_diff = how["as_json"], how["only_diff"]
    wanted = (await assembled(target, environment)).target
    names = list(objects(wanted))
    unknown = [each for each in services if each not in names]
    if unknown:
        raise AtollError(*(NO_SUCH_SERVICE.at(has=nearest(each, names), name=each) for each in unknown))
    async with released(wanted, how["timeout"], as_lines=as_json) as release:
        plan = await release.plan(services, may_break=how["may_break"])
        if not as_json or only_diff:
            show_changes(plan.changes, plan.skew, as_json=as_json)
        if only_diff:
            return 0 if plan.changes.is_nothing else PROBLEMS
        remember(target, wanted.description)
        number = await release.deploy(plan, how["note"], is_forced=how["force"])
        at = await release.address()
    applied = [str(key_of(each.wanted)) for each in plan.changes.applied]
    if as_json:
        removed = [str(each) for each in plan.changes.removed]
        found = {"revision": number, "applied": applied, "removed": removed, "drift": drift_as_data(plan.changes)}
        click.echo(json.dumps({**found, "skew": [asdict(each) for each in plan.skew], "url": at}))
        return 0
    stands = "as declared" if plan.changes.is_nothing else "deployed"
    reached = f", reached at {at}" if at else ""
    click.echo(f"{wanted.system} is {stands}: revision {number} in {wanted.namespace}{reached}")
    return 0


def show_changes(changes: Changes, skew: Sequence[Conflict] = (), *, as_json: bool = False) -> None:
    """New objects by name, changed ones line by line, what goes, what others changed, and what breaks meanwhile."""
    if as_json:
        found = [
            {"object": str(key_of(each.wanted)), "new": each.is_new, "diff": each.lines} for each in changes.applied
        ]
        removed = [str(each) for each in changes.removed]
        told = {"changes": found, "removed": removed, "drift": drift_as_data(changes)}
        click.echo(json.dumps({**told, "skew": [asdict(each) for each in skew]}))
        return
    for each in changes.applied:
        if each.is_new:
            click.secho(f"+ {key_of(each.wanted)}", fg="green")
    for each in changes.applied:
        for line in each.lines:
            colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
            click.secho(line, fg=colour)
    for key in changes.removed:
        click.secho(f"- {key}", fg="red")
    for one in changes.drift:
        click.secho(f"! {one}", fg="yellow")
    for conflict in skew:
        click.secho(f"! While it rolls out, {conflict}", fg="yellow")


def drift_as_data(changes: Changes) -> list[dict[str, object]]:
    return [
        {
            "object": str(each.key),
            "field": each.field,
            "how": each.how,
            "by": each.by,
            "at": each.time,
            "taken_back": each.is_taken_back,
        }
        for each in changes.drift
    ]
