"""`atoll logs`."""

from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from atoll.cli.console import console
from atoll.cli.lines import time_of
from atoll.cli.options import elsewhere_option, json_option, target_option
from atoll.cli.printer import Printer
from atoll.cli.project import find_state
from atoll.errors import NO_SUCH_PROCESS
from atoll.model.suggest import nearest
from atoll.supervisor.control import ControlClient
from atoll.supervisor.logs import Line
from atoll.supervisor.status import process_called


@click.command("logs")
@click.argument("services", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on with every new line, until Ctrl-C or the run ends.")
@click.option("-n", "--lines", default=50, show_default=True, help="How many of the last lines, of each process.")
@target_option
@elsewhere_option
@json_option
def command(services: tuple[str, ...], follow: bool, lines: int, target: str | None, as_json: bool) -> None:
    """Show what the processes write: of SERVICES, of single processes such as users-2, of engines; or of all services.

    Works also after a run is over. Everything is in files below .atoll/SYSTEM/logs.
    With -e NAME it is what the pods of that cluster write: of SERVICES, of the gateway and engines by their names, of
    what prepares a service as catalog-prepare.
    """
    state = find_state(target, running=follow)
    wanted = _called(state, services)
    names = _chosen(state, wanted)
    printer = Printer(console(), as_json=as_json)
    for line in merged(_tail(state / "logs" / f"{name}.log", name, lines) for name in names):
        printer.show(line)
    if follow:
        for line in ControlClient(state).follow():
            if line.process in names or (wanted and _is_of(line.process, wanted)):
                printer.show(line)


def _called(state: Path, services: Sequence[str]) -> list[str]:
    """The gateway's log is Envoy's, unless a service is called so."""
    there = [file.stem for file in state.glob("logs/*.log")]
    return [each if any(_is_of(name, [each]) for name in there) else process_called(each) for each in services]


def _chosen(state: Path, services: Sequence[str]) -> list[str]:
    """The processes whose files are shown. Raises NO_SUCH_PROCESS."""
    files = sorted(file.stem for file in state.glob("logs/*.log") if file.stem != "access")
    if not services:
        return [name for name in files if name not in ("postgres", "nats", "envoy", "collector")]
    for service in services:
        if not any(_is_of(name, [service]) for name in files):
            raise NO_SUCH_PROCESS.error(has=nearest(service, files), name=service)
    return [name for name in files if _is_of(name, services)]


def _is_of(process: str, services: Iterable[str]) -> bool:
    return any(process == service or process.rpartition("-")[0] == service for service in services)


def _tail(file: Path, process: str, count: int) -> list[Line]:
    with file.open(errors="replace", newline="\n") as opened:
        return [Line(process, text.removesuffix("\n").removesuffix("\r")) for text in deque(opened, maxlen=count)]


def merged(files: Iterable[Sequence[Line]]) -> list[Line]:
    """The lines of all files in the order of their times; a line without a time stays behind the one before it."""
    timed: list[tuple[str, Line]] = []
    for lines in files:
        time = ""
        for line in lines:
            time = time_of(line.text) or time
            timed.append((time, line))
    return [line for _, line in sorted(timed, key=lambda each: each[0])]
