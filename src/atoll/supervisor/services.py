"""Starts the processes of the members: with the runtime and a launch document, or as they are."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from atoll.engines.engine import Command, File, HttpGet, Readiness
from atoll.supervisor.children import Python
from atoll.supervisor.faults import Faults
from atoll.supervisor.home import Home
from atoll.supervisor.install import write
from atoll.supervisor.plan import HOST, ServiceProcess
from atoll.supervisor.process import Process, Spawn
from atoll.supervisor.resolve import environment_of


class Services:
    """Everything that is started goes through `start`."""

    def __init__(self, home: Home, python: Python, spawn: Spawn, faults: Faults) -> None:
        self._home = home
        self._faults = faults
        self._python = python
        self._spawn = spawn

    async def start(
        self, service: ServiceProcess, admin: int, on_line: Callable[[str], None]
    ) -> tuple[Process, Readiness]:
        """Start a process of the member, with its admin interface at this port. Raises OSError."""
        arguments = service.command or (self._python.program, "-m", "atoll.runtime", str(self._launch(service, admin)))
        command = Command(
            arguments=arguments,
            environment=environment_of(service.environment, self._python.variables),
            directory=service.directory,
            # A second more than it gives itself.
            grace=service.grace + 1.0,
        )
        log = self._home.logs / f"{service.name}.log"
        process = await Process.start(service.name, command, log, on_line, self._spawn)
        return process, HttpGet(service.health, port=admin, host=HOST)

    def _launch(self, service: ServiceProcess, admin: int) -> Path:
        path = self._home.state / "launch" / f"{service.name}.json"
        assert service.launch is not None
        document = msgspec.structs.replace(self._faults.launch(service.launch), admin=f"{HOST}:{admin}")
        write(File(path, msgspec.json.format(msgspec.json.encode(document)).decode() + "\n"))
        return path
