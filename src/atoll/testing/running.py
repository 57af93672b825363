"""Runs a whole system as `atoll run` does: same engines, same processes, same gateway."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar, cast

from atoll.collector.query import Query, TraceFilter
from atoll.collector.values import Trace
from atoll.errors import NO_SUCH_PROCESS, NO_TOKENS, NOT_READY
from atoll.model.contract import read_contract
from atoll.provision.issuer import audiences, sign
from atoll.runtime.client import Destination, client_of
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.metrics import Metrics
from atoll.runtime.telemetry.traces import Recorder
from atoll.supervisor.children import Python
from atoll.supervisor.home import Home
from atoll.supervisor.install import issuer_key
from atoll.supervisor.plan import Options
from atoll.supervisor.project import Project
from atoll.supervisor.status import Status
from atoll.supervisor.supervisor import Supervisor, open_run
from atoll.wire.description import target_of

T = TypeVar("T")
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

    def traces(self, limit: int = 100) -> list[Trace]:
        """What was recorded of the last requests, newest first; a span is stored within half a second of its end."""
        return Query(Home(Path(self.status().state)).telemetry).recent(TraceFilter(limit=limit))

    def token(self, subject: str, *scopes: str, seconds: int = 3600) -> str:
        """A token of this caller that the gateway accepts while the system runs. seconds: until it does no longer.

        Raises NO_TOKENS if the gateway has no `auth=Jwt(...)`.
        """
        description = self._supervisor.description
        if description.gateway is None or not description.gateway.issuers:
            raise NO_TOKENS.error(system=description.name)
        key = issuer_key(Path(self.status().state) / "secrets")
        return sign(key, audiences(description.gateway), subject, scopes, now=int(time.time()), expires=seconds)

    def kill(self, process: str) -> int:
        """Kill -9 a process, such as "users-2" or "postgres"; the number it had. Raises NO_SUCH_PROCESS."""
        status = self.status()
        found = status.process(process)
        if found is None or not found.pid:
            raise NO_SUCH_PROCESS.error(has=[each.name for each in status.processes if each.pid], name=process)
        os.kill(found.pid, signal.SIGKILL)
        return found.pid

    async def killed(self, process: str, within: float = 30.0) -> Status:
        """Kill -9 a process, and wait until another has taken its place and everything serves. Raises NOT_READY."""
        pid = self.kill(process)

        def is_back(status: Status) -> bool:
            found = status.process(process)
            return found is not None and found.pid not in (0, pid)

        return await self._until(is_back, within)

    @asynccontextmanager
    async def client(self, contract: Callable[..., T], service: str = "") -> AsyncIterator[T]:
        """A client of the contract, with all that a service's own clients have: retries, breaker, balancing.

        service: where more than one serves the contract. Raises NO_SUCH_PROCESS if none does.
        """
        assert isinstance(contract, type)
        wanted = target_of(contract)
        members = {each.name: each for each in self._supervisor.description.members}
        names = [service] if service else [name for name, each in members.items() if wanted in each.contracts]
        if not names or names[0] not in members:
            raise NO_SUCH_PROCESS.error(has=list(members), name=service or contract.__name__)
        telemetry = Telemetry(Recorder(), Metrics(), "test", "test-1")
        read, _ = read_contract(contract)
        destination = Destination(names[0], self.addresses[names[0]], telemetry)
        await destination.open()
        try:
            yield cast(T, client_of(read, destination))
        finally:
            await destination.close()

    async def ready(self, within: float) -> Status:
        """Wait until everything serves; at once if it does.

        within: seconds. Raises NOT_READY, with what each process waits for or why it ended.
        """
        return await self._until(lambda _: True, within)

    async def _until(self, happened: Callable[[Status], bool], within: float) -> Status:
        try:
            async with asyncio.timeout(within):
                async for status in self._supervisor.changes():
                    if status.ready and happened(status):
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
    fresh: bool = False,
    patience: float = PATIENCE,
    prometheus: bool = False,
) -> AsyncIterator[Running]:
    """The system, ready when the block begins, and stopped in order when it ends, also by an error or Ctrl-C.

    target: "package.module:name", imported from `folder`. variables: of the shell; usually os.environ.
    replicas: by service, where it shall be more than one.
    port: of the gateway; 0 is any that is free. any_ports: the services take free ports too, whatever they declare.
    namespace: keeps data and ports apart from those of `atoll run` in the same folder, so that both can run.
    fresh: forget the data of earlier runs in the namespace.
    patience: seconds until it must be ready. prometheus: as `atoll run --prometheus`.
    Raises AtollError with everything that is wrong; NOT_READY after `patience`.
    """
    options = Options(replicas=replicas or {}, port=port, any_ports=any_ports, prometheus=prometheus)
    supervisor = await open_run(Project(target, folder, Python(variables), options, namespace, fresh))
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
