"""Writes what commands render to a folder, and says which files there are."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from atoll.errors import BAD_ARGUMENT


def write_folder(folder: Path, files: Mapping[str, str], *, before: Sequence[str] = (), for_all: bool = False) -> None:
    """Files by their paths in the folder. before: names of what was written there once; what is none any more goes.

    for_all: everybody may read them. Raises AtollError BAD_ARGUMENT where that can't be.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in before:
            if name not in files:
                (folder / name).unlink(missing_ok=True)
        for name, content in files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content)
            if for_all:
                place.chmod(0o644)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raises AtollError BAD_ARGUMENT where the folder, or a file in it, can't be written."""
    try:
        yield
    except OSError as error:
        place, why = error.filename or folder, (error.strerror or str(error)).lower()
        is_file = folder.is_file()
        reason = "it is a file, and a folder is wanted" if is_file else f"{place} can't be written: {why}"
        raise BAD_ARGUMENT.error(argument=f"--output {folder}", reason=reason, do="name a folder of yours") from error


def tell_files(folder: Path, names: Sequence[str], *, as_json: bool, **more: object) -> None:
    """more: told beside them to programs."""
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "files": sorted(names), **more}))
    else:
        click.echo(f"{len(names)} files in {folder}")
