"""`atoll logs --environment NAME`."""

import asyncio

import click

from atoll.cli.cluster import connected
from atoll.cli.console import console
from atoll.cli.deployed import deployed
from atoll.cli.options import environment_option, json_option, target_option
from atoll.cli.printer import Printer
from atoll.errors import NO_SUCH_SERVICE, AtollError
from atoll.kubernetes.names import COLLECTOR, FIGURES, GATEWAY, NATS, POSTGRES, SETUP, Target
from atoll.kubernetes.networking import preparing
from atoll.kubernetes.reading import Follower, Written, last_lines
from atoll.model.suggest import nearest
from atoll.supervisor.logs import Line

ENGINES = (POSTGRES, NATS, GATEWAY, COLLECTOR, FIGURES, SETUP)


@click.command("logs")
@click.argument("services", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on with every new line, also of new pods, until Ctrl-C.")
@click.option("-n", "--lines", default=50, show_default=True, help="How many of the last lines, of each pod.")
@target_option
@environment_option
@json_option
def command(
    services: tuple[str, ...], follow: bool, lines: int, target: str | None, environment: str, as_json: bool
) -> None:
    """Show what the pods in a cluster write: of SERVICES, or of all services.

    Engines and the gateway go by their names, and what prepares a service by catalog-prepare.
    """
    asyncio.run(_show(services, follow, lines, target, environment, Printer(console(), as_json=as_json)))


async def _show(
    services: tuple[str, ...], follow: bool, lines: int, target: str | None, environment: str, printer: Printer
) -> None:
    wanted = await deployed(target, environment)
    chosen = _chosen(wanted, services)
    async with connected(wanted) as api:
        if not follow:
            for each in await last_lines(api, wanted, chosen, lines):
                printer.show(_line(each))
            return
        async for each in Follower(api, wanted, chosen, lines).lines():
            printer.show(_line(each))


def _chosen(wanted: Target, services: tuple[str, ...]) -> tuple[str, ...]:
    """Raises AtollError NO_SUCH_SERVICE."""
    members = tuple(each.name for each in wanted.members)
    names = [*members, *(preparing(each) for each in wanted.members), *ENGINES]
    unknown = [each for each in services if each not in names]
    if unknown:
        raise AtollError(*(NO_SUCH_SERVICE.at(has=nearest(each, names), name=each) for each in unknown))
    return services or members


def _line(each: Written) -> Line:
    return Line(each.pod, each.text)
