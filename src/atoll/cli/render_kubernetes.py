"""`atoll render kubernetes`."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

import click

from atoll.cli.declared import assembled
from atoll.cli.options import base_option, dashboard_option, environment_option, target_argument
from atoll.kubernetes.names import KUSTOMIZATION
from atoll.kubernetes.render import render


@click.command("kubernetes")
@target_argument
@environment_option
@dashboard_option
@base_option
@click.option("--output", metavar="FOLDER", help="Write a file a part and a kustomization.yaml there.")
def command(target: str | None, environment: str, base: str, output: str | None) -> None:
    """Print the system as Kubernetes objects, or write them to a folder.

    That is for `kubectl apply --server-side -k`, Argo CD or Flux.
    """
    files = render(asyncio.run(assembled(target, environment, base)).target)
    write_files(files, output)


def write_files(files: Mapping[str, str], output: str | None) -> None:
    """To the folder, in which every other file of ours is removed, or to the terminal."""
    kustomization = f"{KUSTOMIZATION}.yaml"
    if output is None:
        # Objects alone: `kubectl apply -f -` knows no Kustomization.
        for name, content in files.items():
            if name != kustomization:
                click.echo(content, nl=False)
        return
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    for name in _listed(folder / kustomization):
        if name not in files:
            (folder / name).unlink(missing_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    click.echo(f"{len(files)} files in {folder}")


def _listed(kustomization: Path) -> list[str]:
    """The files that were written there before, as their kustomization.yaml lists them."""
    if not kustomization.is_file():
        return []
    return re.findall(r"^ *- ([a-z0-9-]+\.yaml)$", kustomization.read_text(), re.MULTILINE)
