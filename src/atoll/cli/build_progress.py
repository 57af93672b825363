"""How far a build is: a line for each image that is built now, on a terminal."""

import time
from types import TracebackType
from typing import Self

import click
from rich.live import Live
from rich.table import Table
from rich.text import Text

from atoll.cli.console import console
from atoll.dashboard.words import plain


class BuildProgress:
    """What is done is said in lines, to whoever reads; what is being done is shown below them and goes again.

    as_json: lines go where they are in nobody's way, and nothing else is shown.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = console()
        self._began: dict[str, float] = {}
        self._steps: dict[str, str] = {}
        is_shown = self._console.is_terminal and not as_json
        self._live = (
            Live(console=self._console, get_renderable=self._table, transient=True, refresh_per_second=4)
            if is_shown
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def say(self, line: str) -> None:
        if self._live:
            self._console.print(Text(line), soft_wrap=True)
        else:
            click.echo(line, err=self._as_json)

    def tell(self, image: str, step: str) -> None:
        """step: that is made of it now; "" when it is over."""
        if step:
            self._began.setdefault(image, time.monotonic())
            self._steps[image] = step
        else:
            self._began.pop(image, None)
            self._steps.pop(image, None)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        now = time.monotonic()
        for image, step in sorted(self._steps.items()):
            table.add_row(Text(image), Text(f"{now - self._began[image]:.0f} s", "dim"), Text(plain(step), "cyan"))
        return table
