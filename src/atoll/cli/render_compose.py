"""`atoll render compose`."""

import asyncio
import os
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import click

from atoll.cli.declared import assembled
from atoll.cli.files import tell_files, write_folder, writing
from atoll.cli.options import base_option, dashboard_option, environment_option, json_option, target_argument
from atoll.kubernetes.compose import COMPOSE, DASHBOARD_AT, DASHBOARD_TOKEN, VARIABLES, completed, render_compose
from atoll.kubernetes.names import Target
from atoll.provision.passwords import new_password


@click.command("compose")
@target_argument
@environment_option
@dashboard_option
@base_option
@click.option("--output", default="compose", show_default=True, metavar="FOLDER", help="Where to write the files.")
@json_option
def command(target: str | None, environment: str, base: str, output: str, as_json: bool) -> None:
    """Write the system as a compose.yaml with the configuration of its containers.

    Passwords are made once, in a file .env beside it that stays as it is: keep it out of version control.
    """
    made = asyncio.run(assembled(target, environment, base))
    wanted, folder = made.target, Path(output)
    files = render_compose(wanted, {each.name for each in made.images if each.checks_health})
    # Containers read them as users of their own; nothing in them is secret.
    write_folder(folder, files, for_all=True)
    with writing(folder):
        missing = _give_secrets(folder / VARIABLES, wanted)
    tell_files(folder, list(files), as_json=as_json, missing=missing)
    if as_json:
        return
    click.echo(f"docker compose -f {folder / COMPOSE} up --detach")
    if wanted.environment.telemetry.dashboard:
        click.echo(f"dashboard: http://{DASHBOARD_AT}/?token=… with {DASHBOARD_TOKEN} of {folder / VARIABLES}")


def _give_secrets(file: Path, target: Target) -> list[str]:
    """The variables that somebody has to give a value, who is told so."""
    before = file.read_text() if file.exists() else ""
    after, missing = completed(before, target, _passwords())
    if after != before:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as written:
            written.write(after)
    for each in missing:
        click.echo(f"{file}: give {each.variable} a value: {each.what}", err=True)
    return [each.variable for each in missing]


def _passwords() -> Iterator[str]:
    return (new_password() for _ in repeat(None))
