"""Runs a whole system as `atoll run` does: same engines, same processes, same gateway."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from atoll.errors import NOT_READY
from atoll.supervisor.children import Python
from atoll.supervisor.plan import Options
from atoll.supervisor.project import Project
from atoll.supervisor.status import Status
from atoll.supervisor.supervisor import Supervisor, open_run

PATIENCE = 60.0
"""Seconds until a system must be ready: the first start on a machine makes PostgreSQL's data folder."""


class Running:
    """A system that runs."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    @property
    def url(self) -> str:
        """Of the gateway, such as "http://127.0.0.1:8080"; "" if it has none."""
        return self.status().url

    @property
    def addresses(self) -> Mapping[str, tuple[str, ...]]:
        """Where each service and engine is, one address a replica."""
        return self.status().addresses

    @property
    def seconds_to_ready(self) -> float:
        return self.status().seconds_to_ready or 0.0

    def status(self) -> Status:
        """What runs at this moment, a row a process."""
        return self._supervisor.status()

    async def ready(self, within: float) -> Status:
        """Wait until everything serves; at once if it does.

        within: seconds. Raises NOT_READY, with what each process waits for or why it ended.
        """
        try:
            async with asyncio.timeout(within):
                async for status in self._supervisor.changes():
                    if status.ready:
                        return status
        except TimeoutError:
            pass
        status = self.status()
        has = [
            f"{each.name} {each.state}: {', '.join(filter(None, (each.waits_for, each.reason)))}"
            for each in status.processes
            if each.state not in ("ready", "left out")
        ]
        raise NOT_READY.error(has=has, system=status.system, seconds=within, folder=f"{status.state}/logs")


@asynccontextmanager
async def running(
    target: str,
    folder: Path,
    *,
    variables: Mapping[str, str],
    replicas: Mapping[str, int] | None = None,
    port: int = 0,
    any_ports: bool = True,
    namespace: str = "",
    patience: float = PATIENCE,
) -> AsyncIterator[Running]:
    """The system, ready when the block begins, and stopped in order when it ends, also by an error or Ctrl-C.

    target: "package.module:name", imported from `folder`. variables: of the shell; usually os.environ.
    replicas: by service, where it shall be more than one.
    port: of the gateway; 0 is any that is free. any_ports: the services take free ports too, whatever they declare.
    namespace: keeps data and ports apart from those of `atoll run` in the same folder, so that both can run.
    patience: seconds until it must be ready.
    Raises AtollError with everything that is wrong; NOT_READY after `patience`.
    """
    options = Options(replicas=replicas or {}, port=port, any_ports=any_ports)
    supervisor = await open_run(Project(target, folder, Python(variables), options, namespace))
    run = asyncio.create_task(supervisor.run(), name=f"run {target}")
    try:
        system = Running(supervisor)
        ready = asyncio.create_task(system.ready(patience), name=f"wait for {target}")
        try:
            await asyncio.wait({ready, run}, return_when=asyncio.FIRST_COMPLETED)
            await (ready if ready.done() else run)
        finally:
            ready.cancel()
        yield system
    finally:
        supervisor.stop()
        # Whoever cancels us waits for the end too: nothing may be left behind.
        await asyncio.shield(run)
