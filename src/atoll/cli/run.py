"""`atoll run`."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol, TypeVar

import click
import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

from atoll.cli.console import console
from atoll.cli.dashboard import address_of
from atoll.cli.lines import shown
from atoll.cli.options import json_option, target_argument
from atoll.cli.printer import Printer
from atoll.cli.project import find_target
from atoll.cli.table import headline, plain_row, status_table
from atoll.engines.alerts import FIGURES
from atoll.errors import BAD_ARGUMENT
from atoll.supervisor.logs import Line
from atoll.supervisor.plan import DASHBOARD, Options
from atoll.supervisor.project import Project
from atoll.supervisor.status import Status
from atoll.supervisor.supervisor import open_run

T = TypeVar("T")
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("run")
@target_argument
@click.option("--replicas", multiple=True, metavar="SERVICE=N", help="How many of a service; one of each otherwise.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Of the gateway, instead of the declared one; 0 is any that is free."
)
@click.option(
    "--dashboard",
    default="",
    metavar="HOST:PORT",
    help="Of the dashboard; anywhere but on loopback it asks for a token.",
)
@click.option("--plain", is_flag=True, help="Plain lines, as when the output is no terminal.")
@click.option("--prometheus", is_flag=True, help="Have Prometheus and Alertmanager of this machine watch it.")
@json_option
def command(
    target: str | None,
    replicas: tuple[str, ...],
    port: int | None,
    dashboard: str,
    plain: bool,
    prometheus: bool,
    as_json: bool,
) -> None:
    """Run the system here, on real engines, until Ctrl-C.

    TARGET is package.module:name or a file; by default what pyproject.toml names under [tool.atoll].
    A change of code replaces the processes that import it. Ctrl-C stops everything in order; pressed again, at once.
    """
    options = Options(replicas=_counts(replicas), port=port, dashboard=_address(dashboard), prometheus=prometheus)
    project = find_target(target).project(options)
    display: Display
    if as_json:
        display = JsonLines()
    elif plain or not sys.stdout.isatty():
        display = PlainLines()
    else:
        display = Terminal(console())
    asyncio.run(run(project, display))


def _counts(replicas: tuple[str, ...]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in replicas:
        name, _, number = each.partition("=")
        if not name or not number.isdigit():
            raise BAD_ARGUMENT.error(
                argument=f"--replicas {each}", reason="it is not NAME=NUMBER", do="--replicas users=3"
            )
        counts[name] = int(number)
    return counts


def _address(dashboard: str) -> str:
    host, _, port = dashboard.rpartition(":")
    if dashboard and not (host and port.isdigit() and int(port) < 65536):
        raise BAD_ARGUMENT.error(
            argument=f"--dashboard {dashboard}", reason="it is not HOST:PORT", do="--dashboard 127.0.0.1:8090"
        )
    return dashboard


class Display(Protocol):
    """Shows a run while it lasts."""

    def status(self, status: Status) -> None: ...
    def line(self, line: Line) -> None: ...
    def close(self) -> None: ...


async def run(project: Project, display: Display) -> None:
    """Until it is stopped. Raises AtollError if it can't even begin."""
    supervisor = await open_run(project)
    loop = asyncio.get_running_loop()
    for each in _ENDS:
        loop.add_signal_handler(each, supervisor.stop)
    with ThreadPoolExecutor(1, "screen") as screen:
        lines = asyncio.create_task(show_all(supervisor.follow(), display.line, screen, supervisor.stop))
        changes = asyncio.create_task(show_all(supervisor.changes(), display.status, screen, supervisor.stop))
        # Both listen before the first line can be written.
        await asyncio.sleep(0)
        try:
            try:
                await supervisor.run()
            finally:
                # Nothing of the system is left: who waits for somebody to read may be ended in any way.
                for each in _ENDS:
                    loop.remove_signal_handler(each)
                    signal.signal(each, signal.SIG_DFL)
            await changes
        finally:
            lines.cancel()
            with suppress(OSError):
                await loop.run_in_executor(screen, display.close)


async def show_all(
    news: AsyncIterator[T], show: Callable[[T], None], screen: Executor, stop: Callable[[], None]
) -> None:
    """All of the news; when nobody can read them any more, as behind `| head`, the system stops.

    screen: of one thread, which may have to wait for who reads, as behind `| less`: the system does not.
    """
    loop = asyncio.get_running_loop()
    try:
        async for each in news:
            await loop.run_in_executor(screen, show, each)
    except OSError:
        stop()


class Terminal:
    """A live table until everything is ready, then the addresses, then the lines of the services in colours."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._engines: frozenset[str] = frozenset()
        self._printer = Printer(console, as_json=False)
        self._was_ready = False
        self._last: Status | None = None

    def status(self, status: Status) -> None:
        self._last = status
        self._engines = frozenset(each.name for each in status.processes if each.kind == "engine")
        stopping = any(each.state == "stopping" for each in status.processes)
        if not self._was_ready or stopping:
            if self._live is None:
                self._live = Live(console=self._console, refresh_per_second=10, transient=True)
                self._live.start()
            self._live.update(status_table(status))
        if status.ready and not self._was_ready:
            self._was_ready = True
            self._end_live()
            self._welcome(status)

    def line(self, line: Line) -> None:
        if line.process in self._engines:
            return  # they are in the log files, and `atoll logs postgres` shows them
        self._printer.show(line)

    def close(self) -> None:
        self._end_live()
        if self._last is not None:
            self._console.print(f"{self._last.system} has stopped")

    def _end_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _welcome(self, status: Status) -> None:
        self._console.print(status_table(status))
        self._console.print()
        for name, text in facts(status):
            self._console.print(Text.assemble((f"{name:<10}", "dim"), text))
        self._console.print()


class PlainLines:
    """A line for each change of state, and for each line of a service."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._engines: frozenset[str] = frozenset()
        self._was_ready = False

    def status(self, status: Status) -> None:
        self._engines = frozenset(each.name for each in status.processes if each.kind == "engine")
        for each in status.processes:
            row = plain_row(each)
            if each.state in ("ready", "left out", "backing off", "unhealthy") and self._states.get(each.name) != row:
                click.echo(row)
            self._states[each.name] = row
        if status.ready and not self._was_ready:
            self._was_ready = True
            for name, text in facts(status):
                click.echo(f"{name}: {text}")

    def line(self, line: Line) -> None:
        if line.process not in self._engines:
            click.echo(f"{line.process} | {shown(line.text).text}")

    def close(self) -> None:
        sys.stdout.flush()


class JsonLines:
    """One object a line: {"status": …} whenever it is another, {"line": …} for each line of a process."""

    def status(self, status: Status) -> None:
        click.echo(msgspec.json.encode({"status": status}).decode())

    def line(self, line: Line) -> None:
        click.echo(msgspec.json.encode({"line": line}).decode())

    def close(self) -> None:
        sys.stdout.flush()


def facts(status: Status) -> list[tuple[str, str]]:
    """What is worth knowing when everything is ready."""
    found = [("ready", f"{headline(status)} after {status.seconds_to_ready or 0.0:.1f} s")]
    found += [("service", f"{name}  {', '.join(each)}") for name, each in status.addresses.items() if not status.url]
    found += [("dashboard", address_of(status))] if status.dashboard else []
    found += [(name, url) for name, url in status.watching.items() if name not in (FIGURES, DASHBOARD)]
    found.append(("logs", f"{status.state}/logs, or `atoll logs`"))
    found.append(("stop", "Ctrl-C"))
    return found
