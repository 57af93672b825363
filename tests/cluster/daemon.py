"""Long-lived processes of a cluster: started inside its namespaces, ready by a condition, with a log to read."""

import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.cluster.namespaces import Namespaces
from tests.cluster.programs import PATH, TAIL
from tests.waiting import NotInTime, until

PATIENCE = 60.0
LAST_BYTES = 64 * 1024


class Readiness(Protocol):
    """Whether a daemon can be used, asked without waiting."""

    def __call__(self) -> bool: ...


@dataclass(frozen=True)
class Answers:
    """Ready when a URL answers with 200; https with the cluster's certificates."""

    url: str
    trust: ssl.SSLContext | None = None

    def __call__(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(self.url, timeout=5, context=self.trust) as answer:
            return bool(answer.status == 200)
        return False


@dataclass(frozen=True)
class Listens:
    """Ready when a connection to a Unix socket is taken."""

    path: Path

    def __call__(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
            connection.connect(str(self.path))
            return True
        return False


@dataclass(frozen=True)
class Specification:
    """What a daemon is: the values of its command line and when it is ready. environment: beside PATH."""

    name: str
    command: Sequence[str]
    ready: Readiness
    environment: Mapping[str, str] = field(default_factory=dict)


class Daemon:
    """A started one."""

    def __init__(self, specification: Specification, namespaces: Namespaces, logs: Path) -> None:
        self.specification = specification
        self.log = logs / f"{specification.name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                namespaces.entering(specification.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"PATH": PATH, **specification.environment},
                # A Ctrl-C is for the run that uses the cluster; a cluster that is kept outlives its terminal.
                start_new_session=True,
            )

    def until_ready(self, *, within: float = PATIENCE) -> float:
        """The seconds it took. Raises NotInTime with the end of its log, at once if it has ended."""
        name = self.specification.name

        def ready() -> bool:
            if (code := self.process.poll()) is not None:
                raise NotInTime(f"{name} ended with {code}; {tail(self.log)}")
            return self.specification.ready()

        return until(ready, f"{name} is ready", within=within, why=lambda: tail(self.log))


def tail(log: Path) -> str:
    """The last lines of a log."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST_BYTES))
        lines = file.read().decode(errors="replace").splitlines()[-TAIL:]
    return "\n".join([f"the last lines of {log}:", *lines])
