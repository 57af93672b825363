"""`atoll new`."""

import json
import re
from importlib import resources
from pathlib import Path

import click

from atoll.cli.options import json_option
from atoll.errors import BAD_ARGUMENT, FOLDER_EXISTS

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")
_PLACEHOLDER = "PROJECT"


@click.command("new")
@click.argument("name")
@json_option
def command(name: str, as_json: bool) -> None:
    """Make a project in the folder NAME: one service with its contract, its database, and a test.

    It runs at once (`atoll run`), and its test passes (`pytest`).
    """
    folder = Path(name)
    if not _NAME.fullmatch(folder.name):
        reason = "it names the system: lower-case letters, digits and hyphens, at most 40, first a letter"
        raise BAD_ARGUMENT.error(argument=name, reason=reason, do="choose another name")
    if folder.exists() and any(folder.iterdir()):
        raise FOLDER_EXISTS.error(folder=folder)
    made = make_project(folder)
    if as_json:
        click.echo(json.dumps({"folder": str(folder.resolve()), "files": made}))
        return
    for file in made:
        click.echo(f"  {folder / file}")
    click.echo(f"\n  cd {folder}")
    click.echo("  atoll run     # serves http://127.0.0.1:8080/notes")
    click.echo("  pytest        # tests it on real engines")


def make_project(folder: Path) -> list[str]:
    """Copy the template, with the project's name in files and paths; the paths of the files made."""
    package = folder.name.replace("-", "_")
    made: list[str] = []
    with resources.as_file(resources.files("atoll.cli") / "template") as template:
        for source in sorted(template.rglob("*")):
            if source.is_dir() or "__pycache__" in source.parts:
                continue
            # Files of the template end in .txt, so that no tool takes them for code of atoll.
            relative = str(source.relative_to(template)).replace(_PLACEHOLDER, package).removesuffix(".txt")
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            text = source.read_text().replace(f"{_PLACEHOLDER}-NAME", folder.name).replace(_PLACEHOLDER, package)
            target.write_text(text)
            made.append(relative)
    return made
