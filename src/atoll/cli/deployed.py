"""What commands about what is deployed already begin with: where the code can't be read, the last that could."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from atoll.cli import project
from atoll.cli.declared import targeted
from atoll.cli.problems import styled
from atoll.cli.project import find_target
from atoll.engines.engine import File
from atoll.errors import AtollError
from atoll.kubernetes.names import Target
from atoll.supervisor.install import write
from atoll.wire.description import Description

_FOLDER = Path(".atoll", "deployed")


class _Remembered(msgspec.Struct, frozen=True):
    """target: as it is asked for. read: when."""

    target: str
    read: str
    description: Description


async def deployed(target: str | None, environment: str) -> Target:
    """What is declared; where that is wrong, what was the last time that this machine read it for a cluster.

    For an outage is no time to correct code: a system's name, and where it is, are enough. It is told.
    Raises AtollError with all that is wrong in the environment; in the declaration, if none is remembered.
    """
    asked = find_target(target)
    try:
        description = await asked.project().describe()
    except AtollError as error:
        last = _recalled(asked)
        if last is None:
            raise
        for problem in error.problems:
            click.echo(styled(problem), err=True)
        click.echo(f"This goes by the declaration as it was at {last.read}.", err=True)
        return targeted(asked, last.description, environment, is_judged=False)
    _keep(asked, description)
    return targeted(asked, description, environment)


def remember(target: str | None, description: Description) -> None:
    """Keep the description for a time when there is none; not where nothing can be written."""
    _keep(find_target(target), description)


def _keep(asked: project.Target, description: Description) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    file = _file(asked)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write(File(file, msgspec.json.encode(_Remembered(asked.name, now, description)).decode()))


def _recalled(asked: project.Target) -> _Remembered | None:
    with suppress(OSError, msgspec.DecodeError):
        kept = msgspec.json.decode(_file(asked).read_bytes(), type=_Remembered)
        if kept.target == asked.name:
            # The folder may have been moved.
            here = msgspec.structs.replace(kept.description, folder=str(asked.system_folder()))
            return msgspec.structs.replace(kept, description=here)
    return None


def _file(asked: project.Target) -> Path:
    return asked.system_folder() / _FOLDER / f"{re.sub('[^A-Za-z0-9.]+', '-', asked.name)}.json"
