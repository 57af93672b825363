"""What the commands for images and clusters begin with: the declaration, the environment, the cluster."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich.live import Live
from rich.table import Table
from rich.text import Text

from atoll.cli.console import console
from atoll.cli.project import find_target
from atoll.errors import AtollError
from atoll.kubernetes.assembly import Assembly, assemble
from atoll.kubernetes.check import environment_problems
from atoll.kubernetes.client import Api, connect
from atoll.kubernetes.names import Target
from atoll.kubernetes.project import read_environment
from atoll.kubernetes.rollout import Row

_STYLES = {"done": "green", "waiting": "cyan", "failed": "red"}


async def declared(target: str | None, environment: str) -> Target:
    """Raises AtollError with everything that is wrong in the declaration or the environment."""
    description = await find_target(target).project().describe()
    wanted = Target(description, read_environment(Path(description.folder), environment))
    problems = environment_problems(wanted, f"environments/{environment}.toml")
    if problems:
        raise AtollError(*problems)
    return wanted


async def assembled(target: str | None, environment: str) -> Assembly:
    """With the names of all images. Raises AtollError, also for what is wrong in the lock."""
    wanted = await declared(target, environment)
    folder = Path(wanted.description.folder) / ".atoll" / "build" / wanted.system
    return await assemble(wanted, folder, os.environ)


async def api_of(target: Target) -> Api:
    """Raises AtollError CLUSTER_UNREACHABLE."""
    return await connect(target.environment.cluster.context, target.namespace)


class Progress:
    """Tells how far workloads are: a live table on a terminal, else a line whenever something is otherwise."""

    def __init__(self, *, as_lines: bool) -> None:
        self._console = console()
        self._live = None if as_lines or not self._console.is_terminal else Live(console=self._console)
        self._told: dict[str, str] = {}

    def __enter__(self) -> Callable[[Sequence[Row]], None]:
        if self._live:
            self._live.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def _show(self, rows: Sequence[Row]) -> None:
        if self._live:
            self._live.update(rollout_table(rows))
            return
        for row in rows:
            line = plain(row)
            if self._told.get(str(row.key)) != line:
                self._told[str(row.key)] = line
                click.echo(line, err=True)


def rollout_table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("workload", "state", "ready", "why"):
        table.add_column(name, overflow="fold")
    for row in rows:
        why = row.why.reason if row.why else ""
        state = Text(row.state, _STYLES[row.state])
        table.add_row(str(row.key), state, f"{row.ready}/{row.wanted}", Text(why, "dim"))
    return table


def plain(row: Row) -> str:
    why = f": {row.why.reason}" if row.why else ""
    return f"{row.key} is {row.state}, {row.ready} of {row.wanted} ready{why}"
