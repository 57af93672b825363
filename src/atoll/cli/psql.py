"""`atoll psql`."""

import os
from urllib.parse import unquote, urlsplit

import click

from atoll.cli.options import target_option
from atoll.cli.project import find_state
from atoll.engines import versions
from atoll.errors import NO_DATABASE, NO_SUCH_PROCESS
from atoll.model.suggest import nearest
from atoll.provision.programs import find_program
from atoll.supervisor.control import ControlClient


@click.command("psql", context_settings={"ignore_unknown_options": True})
@click.argument("service")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@target_option
def command(service: str, arguments: tuple[str, ...], target: str | None) -> None:
    """Open the database of a service, with the service's own role; ARGUMENTS go to psql, such as -c "SELECT 1"."""
    state = find_state(target, running=True)
    file = state / "secrets" / f"dsn-{service}"
    if not file.is_file():
        names = [each.name.removeprefix("dsn-") for each in file.parent.glob("dsn-*")]
        running = ControlClient(state).status().processes
        kind = NO_DATABASE if any(service in (each.name, each.service) for each in running) else NO_SUCH_PROCESS
        raise kind.error(has=nearest(service, names), name=service)
    program = find_program(versions.POSTGRES).with_name("psql")
    # In the environment, for everybody can read a command line.
    variables = {**os.environ, **_variables(file.read_text().strip())}
    os.execve(program, ["psql", *arguments], variables)  # noqa: S606


def _variables(dsn: str) -> dict[str, str]:
    parts = urlsplit(dsn)
    return {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.removeprefix("/")),
    }
