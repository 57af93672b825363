"""`atoll render`."""

from collections.abc import Mapping

import click

from atoll.cli.lazy import Commands

DOCUMENTS: Mapping[str, tuple[str, str]] = {
    "openapi": ("render_openapi", "Print the OpenAPI 3.1 document of the system's HTTP interface."),
    "asyncapi": ("render_asyncapi", "Print the AsyncAPI 3.0 document of the system's events."),
    "kubernetes": ("render_kubernetes", "Print the system as Kubernetes objects, or write them to a folder."),
    "prometheus": ("render_prometheus", "Write rules and alerts, their tests, and Alertmanager's routing."),
    "compose": ("render_compose", "Write the system as a compose.yaml with what its containers read."),
}


@click.group("render", cls=Commands, table=DOCUMENTS)
def command() -> None:
    """Print documents made from the declaration. The same system gives the same bytes."""
