"""`atoll render`."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import click

from atoll.cli.options import environment_option, target_argument
from atoll.cli.project import find_target
from atoll.wire.openapi import openapi


@click.group("render")
def command() -> None:
    """Print documents made from the declaration. The same system gives the same bytes."""


@command.command("openapi")
@target_argument
@click.option("--version", default="0", show_default=True, help="Of the interface, for its info.")
@click.option("--all", "everything", is_flag=True, help="Every contract, not only what the gateway exposes.")
@click.option("--json", "as_json", is_flag=True, hidden=True, help="It is JSON anyway.")
def openapi_command(target: str | None, version: str, everything: bool, as_json: bool) -> None:  # noqa: ARG001
    """Print the OpenAPI 3.1 document of the system's HTTP interface."""
    description = asyncio.run(find_target(target).project().describe())
    click.echo(json.dumps(openapi(description, version, exposed_only=not everything), indent=2, ensure_ascii=False))


@command.command("kubernetes")
@target_argument
@environment_option
@click.option("--output", metavar="FOLDER", help="Write a file a part and a kustomization.yaml there.")
def kubernetes_command(target: str | None, environment: str, output: str | None) -> None:
    """Print the system as Kubernetes objects, or write them to a folder for `kubectl apply -k`, Argo CD or Flux."""
    from atoll.cli.cluster import assembled
    from atoll.kubernetes.render import render

    files = render(asyncio.run(assembled(target, environment)).target)
    _write(files, output)


def _write(files: Mapping[str, str], output: str | None) -> None:
    """To the folder, in which every other file of ours is removed, or to the terminal."""
    if output is None:
        for content in files.values():
            click.echo(content, nl=False)
        return
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    click.echo(f"{len(files)} files in {folder}")
