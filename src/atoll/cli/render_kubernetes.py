"""`atoll render kubernetes`."""

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path

import click

from atoll.cli.declared import assembled
from atoll.cli.files import tell_files, write_folder, writing
from atoll.cli.options import base_option, dashboard_option, environment_option, json_option, target_argument
from atoll.kubernetes.names import KUSTOMIZATION
from atoll.kubernetes.render import objects, render


@click.command("kubernetes")
@target_argument
@environment_option
@dashboard_option
@base_option
@click.option("--output", metavar="FOLDER", help="Write a file a part and a kustomization.yaml there.")
@json_option
def command(target: str | None, environment: str, base: str, output: str | None, as_json: bool) -> None:
    """Print the system as Kubernetes objects, or write them to a folder.

    That is for `kubectl apply --server-side -k`, Argo CD or Flux. With --json the objects are printed as one list of
    kind List, or it is told which files were written.
    """
    wanted = asyncio.run(assembled(target, environment, base)).target
    # It also tells what no cluster takes.
    files = render(wanted)
    if output is None and as_json:
        found = [made for part in objects(wanted).values() for made in part]
        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": found}))
        return
    write_files(files, output, as_json=as_json)


def write_files(files: Mapping[str, str], output: str | None, *, as_json: bool = False) -> None:
    """To the folder, in which every other file of ours is removed, or to the terminal."""
    kustomization = f"{KUSTOMIZATION}.yaml"
    if output is None:
        # Objects alone: `kubectl apply -f -` knows no Kustomization.
        for name, content in files.items():
            if name != kustomization:
                click.echo(content, nl=False)
        return
    folder = Path(output)
    with writing(folder):
        before = _listed(folder / kustomization)
    write_folder(folder, files, before=before)
    tell_files(folder, list(files), as_json=as_json)


def _listed(kustomization: Path) -> list[str]:
    """The files that were written there before, as their kustomization.yaml lists them."""
    if not kustomization.is_file():
        return []
    return re.findall(r"^ *- ([a-z0-9-]+\.yaml)$", kustomization.read_text(), re.MULTILINE)
