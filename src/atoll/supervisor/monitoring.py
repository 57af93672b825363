"""What a Prometheus can read of a run: its processes, its engines, and where they are."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from atoll.engines.alerts import FIGURES, GATEWAY
from atoll.engines.engine import HttpGet
from atoll.engines.observed import job_of
from atoll.engines.prometheus import Measured, targets
from atoll.provision.figures import Page, PostgresFigures, answering, nats_read
from atoll.provision.http import ask
from atoll.supervisor.engines import Engines
from atoll.supervisor.initdb import superuser_dsn
from atoll.supervisor.install import write
from atoll.supervisor.plan import HOST, Plan
from atoll.supervisor.status import Status
from atoll.wire.exposition import Figure, page

ENVOY_PAGE = "/metrics/envoy"
_PAGE = "/metrics"


class Monitoring:
    """The page of figures of one run, and the list of everything that has one.

    status: how the run is now.
    """

    def __init__(self, plan: Plan, engines: Engines, status: Callable[[], Status]) -> None:
        self._plan, self._engines, self._status = plan, engines, status
        self._postgres: PostgresFigures | None = None
        self._ports: dict[str, int] = {}
        self._told: Plan | None = None
        self._serving: Mapping[str, int] = {}

    async def serve(self) -> None:
        """Answer at the port of the plan, until cancelled."""
        pages: dict[str, Page] = {_PAGE: self._page}
        if "envoy" in self._plan.engines:
            pages[ENVOY_PAGE] = self._envoy
        try:
            async with answering(HOST, self._plan.ports[FIGURES], pages):
                await asyncio.Event().wait()
        finally:
            if self._postgres is not None:
                self._postgres.close()

    def publish(self, plan: Plan, serving: Mapping[str, int]) -> None:
        """Tell Prometheus where to read. What served once stays in the list: that it is gone must be seen.

        serving: by process, the port that answers for its health now.
        """
        self._plan = plan
        if plan.watching is None:
            return
        if plan is self._told and serving == self._serving:
            return
        self._told, self._serving = plan, dict(serving)
        planned = {each.name for each in plan.processes if each.launch is not None}
        self._ports = {name: port for name, port in {**self._ports, **serving}.items() if name in planned}
        write(targets(measured(plan, self._ports), plan.home.state / "prometheus"))

    async def _page(self) -> str:
        found = process_figures(self._status())
        plan, server = self._plan, self._engines.server
        if "postgres" in plan.engines:
            if self._postgres is None and server is not None:
                self._postgres = PostgresFigures(superuser_dsn(plan.home, server))
            found += await self._postgres.read() if self._postgres else []
        if "nats" in plan.engines:
            found += await nats_read(HOST, plan.ports["nats-monitor"])
        return page(found)

    async def _envoy(self) -> str:
        """As Envoy writes it, which tells Prometheus by itself."""
        where = HttpGet("/stats/prometheus?usedonly", socket=Path(self._engines.places.admin))
        return (await ask(where)).body


def measured(plan: Plan, ports: Mapping[str, int]) -> list[Measured]:
    """Every page of the run. ports: of the processes, by name."""
    system = plan.description.name
    figures = f"{HOST}:{plan.ports[FIGURES]}"
    found = [Measured(job_of(system, FIGURES), FIGURES, figures)]
    if "envoy" in plan.engines:
        found.append(Measured(job_of(system, GATEWAY), GATEWAY, figures, ENVOY_PAGE))
    for process in plan.processes:
        if process.name in ports:
            address = f"{HOST}:{ports[process.name]}"
            found.append(Measured(job_of(system, process.service), process.name, address))
    return found


def process_figures(status: Status) -> list[Figure]:
    """How each process of the run is."""
    found: list[Figure] = []
    for each in status.processes:
        who = {"process": each.name, "service": each.service}
        found.append(Figure("atoll_process_ready", "gauge", "1: it serves.", float(each.state == "ready"), who))
        text = "How often it ended although nobody asked it to."
        found.append(Figure("atoll_process_crashes_total", "counter", text, each.crashes, who))
        text = "How often it was started again."
        found.append(Figure("atoll_process_restarts_total", "counter", text, each.restarts, who))
    return found
