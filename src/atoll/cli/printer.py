"""Prints the lines of processes, each service in a colour of its own."""

import json
from contextlib import suppress

import click
from rich.console import Console
from rich.text import Text

from atoll.cli.lines import shown
from atoll.dashboard.words import plain
from atoll.supervisor.logs import Line

_COLOURS = (
    "cyan",
    "green",
    "magenta",
    "blue",
    "yellow",
    "bright_cyan",
    "bright_green",
    "bright_magenta",
    "bright_blue",
)
_SUPERVISOR = "atoll"


class Printer:
    """Prints lines with a colour for each service."""

    def __init__(self, console: Console, *, as_json: bool) -> None:
        self._console = console
        self._as_json = as_json
        self._colours = {_SUPERVISOR: "bold"}

    def show(self, line: Line) -> None:
        if self._as_json:
            click.echo(_as_json(line))
            return
        service = line.process.rpartition("-")[0] or line.process
        colour = self._colours.setdefault(service, _COLOURS[len(self._colours) % len(_COLOURS)])
        found = shown(line.text)
        self._console.print(
            Text.assemble((f"{line.process:<16}", colour), " ", (plain(found.text), found.style)), soft_wrap=True
        )


def _as_json(line: Line) -> str:
    """With the object in a JSON line, or the text as it is."""
    said: dict[str, object] = {"process": line.process, "line": line.text}
    if line.text.startswith("{"):
        with suppress(ValueError, RecursionError):
            return json.dumps({**said, "line": json.loads(line.text)})
    return json.dumps(said)
