"""`atoll status --environment NAME`."""

import asyncio
import json

import click
from rich.table import Table
from rich.text import Text

from atoll.cli.cluster import connected, state_of
from atoll.cli.console import console
from atoll.cli.deployed import deployed
from atoll.cli.exits import DONE, PROBLEMS
from atoll.cli.options import environment_option, json_option, target_argument
from atoll.cli.table import with_breakers
from atoll.dashboard.words import plain
from atoll.kubernetes.reading import standing
from atoll.kubernetes.standing import Standing, Workload


@click.command("status")
@target_argument
@environment_option
@json_option
def command(target: str | None, environment: str, as_json: bool) -> int:
    """Show what of the system runs in a cluster, how far it is, and why something is not ready.

    Exit status 0 if everything is ready, 1 if something is not, 3 if it is not deployed there.
    """
    found = asyncio.run(_standing(target, environment))
    if as_json:
        click.echo(json.dumps(as_data(found)))
    else:
        click.echo(headline(found))
        console().print(table(found))
    return DONE if found.is_ready else PROBLEMS


async def _standing(target: str | None, environment: str) -> Standing:
    wanted = await deployed(target, environment)
    async with connected(wanted) as api:
        return await standing(api, wanted)


def headline(found: Standing) -> str:
    """What a person wants to know first."""
    waiting = sum(each.row.state != "done" for each in found.workloads)
    how = f"{waiting} of {len(found.workloads)} workloads are not ready" if waiting else "is ready"
    at = f" at {found.url}" if found.url else ""
    note = f" ({found.note})" if found.note else ""
    return f"{found.system} in {found.namespace}, revision {found.revision} of {found.made}{note}: {how}{at}"


def table(found: Standing) -> Table:
    made = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("workload", "state", "ready", "restarts", "image", "why"):
        made.add_column(name, overflow="fold")
    for each in found.workloads:
        why = with_breakers(Text(plain(_why(each)), "dim"), each.breakers)
        made.add_row(str(each.row.key), state_of(each.row), _ready(each), str(each.restarts or ""), _tag(each), why)
    return made


def as_data(found: Standing) -> dict[str, object]:
    return {
        "system": found.system,
        "namespace": found.namespace,
        "revision": found.revision,
        "made": found.made,
        "note": found.note,
        "url": found.url,
        "ready": found.is_ready,
        "workloads": [
            {
                "kind": each.row.key.kind,
                "name": each.row.key.name,
                "state": each.row.state,
                "ready": each.row.ready,
                "wanted": each.row.wanted,
                "restarts": each.restarts,
                "image": each.image,
                "why": _why(each),
                "breakers": dict(each.breakers),
            }
            for each in found.workloads
        ],
    }


def _why(each: Workload) -> str:
    return each.row.why.reason if each.row.why else ""


def _ready(each: Workload) -> str:
    return f"{each.row.ready}/{each.row.wanted}"


def _tag(each: Workload) -> str:
    """What changes from version to version of an image's name."""
    name, _, digest = each.image.partition("@")
    last = name.rpartition("/")[2]
    return last.partition(":")[2] or digest[:19]
