"""What the commands for a cluster share: the connection, and how far things are."""

import getpass
import os
import platform
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import click
from rich.live import Live
from rich.table import Table
from rich.text import Text

from atoll.cli.console import console
from atoll.dashboard.words import plain
from atoll.kubernetes.client import Api, connect
from atoll.kubernetes.names import Target
from atoll.kubernetes.release import Release
from atoll.kubernetes.rollout import Row

_STYLES: Mapping[str, str] = {"done": "green", "waiting": "cyan", "failed": "red"}


def connected(target: Target) -> AbstractAsyncContextManager[Api]:
    """The namespace of a system. Raises AtollError CLUSTER_UNREACHABLE."""
    return connect(target.environment.cluster.context, target.namespace, os.environ.get("KUBECONFIG", ""))


@asynccontextmanager
async def released(target: Target, timeout: float = 0.0, *, as_lines: bool) -> AsyncIterator[Release]:
    """The system in its cluster, and how far things are told meanwhile. Raises AtollError CLUSTER_UNREACHABLE."""
    async with connected(target) as api:
        with Progress(as_lines=as_lines) as show:
            yield Release(api, target, show, timeout, _who())


def _who() -> str:
    try:
        return f"{getpass.getuser()} at {platform.node()}"
    except (KeyError, OSError):
        # A container may run as somebody without a name.
        return platform.node()


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
            line = plain(plain_row(row))
            if self._told.get(str(row.key)) != line:
                self._told[str(row.key)] = line
                click.echo(line, err=True)


def rollout_table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("workload", "state", "ready", "why"):
        table.add_column(name, overflow="fold")
    for row in rows:
        why = row.why.reason if row.why else ""
        table.add_row(str(row.key), state_of(row), f"{row.ready}/{row.wanted}", Text(plain(why), "dim"))
    return table


def state_of(row: Row) -> Text:
    return Text(row.state, _STYLES[row.state])


def plain_row(row: Row) -> str:
    why = f": {row.why.reason}" if row.why else ""
    return f"{row.key} is {row.state}, {row.ready} of {row.wanted} ready{why}"
