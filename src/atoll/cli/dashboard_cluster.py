"""`atoll dashboard --environment NAME`."""

import asyncio
import sys

import click

from atoll.cli.cluster import connected
from atoll.cli.deployed import deployed
from atoll.cli.options import environment_option, json_option, target_argument
from atoll.errors import NO_DASHBOARD
from atoll.kubernetes.collector import DASHBOARD_PORT
from atoll.kubernetes.names import COLLECTOR
from atoll.kubernetes.objects import mapping
from atoll.supervisor.ports import is_free


@click.command("dashboard")
@target_argument
@environment_option
@click.option("--print", "only_print", is_flag=True, help="Print the address, and open no browser.")
@json_option
def command(target: str | None, environment: str, only_print: bool, as_json: bool) -> None:
    """Forward a port to the dashboard in a cluster, print its address and open it; until Ctrl-C."""
    asyncio.run(_forward(target, environment, as_json=as_json, opens=not only_print and sys.stdout.isatty()))


async def _forward(target: str | None, environment: str, *, as_json: bool, opens: bool) -> None:
    wanted = await deployed(target, environment)
    async with connected(wanted) as api:
        pods = await api.all("Pod", f"app={COLLECTOR}")
        running = [pod for pod in pods if mapping(pod, "status").get("phase") == "Running"]
        if not running:
            raise NO_DASHBOARD.error(namespace=wanted.namespace, environment=environment)
        local = DASHBOARD_PORT if is_free(DASHBOARD_PORT) else 0
        async with api.forwarded(running[0], DASHBOARD_PORT, local) as port:
            address = f"http://127.0.0.1:{port}"
            click.echo(f'{{"url": "{address}"}}' if as_json else address)
            if opens and not as_json:
                click.launch(address)
            await asyncio.Event().wait()
