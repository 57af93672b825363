"""The table of processes."""

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from atoll.dashboard.words import plain
from atoll.supervisor.status import ProcessStatus, Status

_STYLES: Mapping[str, str] = {
    "ready": "green",
    "left out": "yellow",
    "unhealthy": "red",
    "backing off": "red",
    "stopped": "dim",
}


def status_table(status: Status) -> Table:
    """Engines and services: state, what each waits for, port, restarts."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("process", "state", "waits for, or why", "port", "restarts"):
        table.add_column(name, justify="right" if name in ("port", "restarts") else "left", overflow="fold")
    for each in status.processes:
        state = Text(each.state, _STYLES.get(each.state, "cyan"))
        why = Text(plain(each.waits_for or each.reason), "dim" if each.state == "ready" else "")
        if each.fault:
            why = Text.assemble(why, " " if why else "", (f"{each.fault}, on purpose", "yellow"))
        why = with_breakers(why, each.breakers)
        table.add_row(each.name, state, why, str(each.port or ""), str(each.restarts or ""))
    return table


def with_breakers(why: Text, breakers: Mapping[str, str]) -> Text:
    """The reason, and each circuit breaker that is not closed."""
    for destination, state in breakers.items():
        why = Text.assemble(why, " " if why else "", (f"breaker of {destination} {state}", "red"))
    return why


def plain_row(process: ProcessStatus) -> str:
    """The same in one line without colours."""
    why = process.waits_for or process.reason or (f"{process.fault}, on purpose" if process.fault else "")
    return f"{process.name} is {process.state}" + (f": {plain(why)}" if why else "")


def headline(status: Status) -> str:
    """What a person wants to know first."""
    if status.ready:
        return f"{status.system} is ready at {status.url}" if status.url else f"{status.system} is ready"
    waiting = sum(each.state not in ("ready", "left out") for each in status.processes)
    return f"{status.system}: {waiting} of {len(status.processes)} processes are not ready"
