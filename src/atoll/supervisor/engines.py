"""Starts the engines of a plan."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from atoll.engines import alertmanager, collector, envoy, nats, postgres, prometheus, versions
from atoll.engines.connections import room
from atoll.engines.engine import Engine, Readiness
from atoll.engines.observed import Observed
from atoll.engines.pace import Pace
from atoll.provision.programs import find_program
from atoll.supervisor.control import clear_sockets
from atoll.supervisor.envoy_admin import bound_access_log
from atoll.supervisor.gateway import gateway_of
from atoll.supervisor.home import Home
from atoll.supervisor.initdb import prepare_postgres
from atoll.supervisor.install import secret, write, write_files
from atoll.supervisor.plan import HOST, Plan
from atoll.supervisor.process import Process
from atoll.supervisor.resolve import broker_of, connections_of

_KEEP_EVERY = 30.0


class Engines:
    """PostgreSQL, NATS, Envoy and the collector of one system on this machine.

    sockets: a folder whose path is short enough for a Unix socket. places: where the gateway's files are.
    """

    def __init__(self, home: Home, sockets: Path) -> None:
        self._home = home
        self._admin = sockets / "envoy.sock"
        self.places = envoy.Places(home.state / "envoy", self._admin, home.logs / "access.log")
        self.server: postgres.Server | None = None

    async def start(
        self, name: str, plan: Plan, serving: Mapping[str, int], on_line: Callable[[str], None]
    ) -> tuple[Process, Readiness]:
        """Start an engine; the first time its data folder is made.

        Raises ENGINE_MISSING and the other errors of engines; OSError.
        """
        engine = await self._engine(name, plan, serving)
        write_files(engine)
        process = await Process.start(name, engine.command, self._home.logs / f"{name}.log", on_line)
        return process, engine.readiness

    async def _engine(self, name: str, plan: Plan, serving: Mapping[str, int]) -> Engine:
        match name:
            case "postgres":
                self.server = await prepare_postgres(
                    self._home, plan.ports["postgres"], room(connections_of(plan).values())
                )
                return postgres.engine(self.server)
            case "nats":
                return nats.engine(find_program(versions.NATS), broker_of(plan), self._home.state / "nats")
            case collector.NAME:
                path = self._home.state / "launch" / "collector.json"
                if plan.collection.dashboard and plan.collection.dashboard.token:
                    secret(self._home.secrets, self._home.dashboard_token.name)
                return collector.engine(Path(sys.executable), plan.collection, path)
            case prometheus.NAME if plan.watching:
                return prometheus.engine(
                    plan.watching.prometheus, self._prometheus(plan), _observed(plan), self._home.state / name
                )
            case alertmanager.NAME if plan.watching:
                watching, port = plan.watching, plan.ports[name]
                return alertmanager.engine(
                    watching.alertmanager, port, watching.receivers, watching.pace, self._home.state / name
                )
            case _:
                self._admin.unlink(missing_ok=True)
                return envoy.engine(find_program(versions.ENVOY), gateway_of(plan, serving), self.places)

    async def keep(self) -> None:
        """Bound Envoy's access log, until cancelled."""
        while True:
            await asyncio.sleep(_KEEP_EVERY)
            await bound_access_log(self.places)

    def close(self) -> None:
        """When none of them runs any more."""
        self._admin.unlink(missing_ok=True)
        clear_sockets(self._home.state)

    def rewrite(self, plan: Plan) -> list[str]:
        """Write the broker's users and Prometheus's rules as they are now; who is to read them again, at SIGHUP."""
        changed: list[str] = []
        if "nats" in plan.engines and write(nats.configuration(broker_of(plan), self._home.state / "nats")):
            changed.append(nats.NAME)
        if plan.watching:
            files = prometheus.files(self._prometheus(plan), _observed(plan), self._home.state / prometheus.NAME)
            written = [write(file) for file in files]
            if any(written):
                changed.append(prometheus.NAME)
        return changed

    def _prometheus(self, plan: Plan) -> prometheus.Server:
        return prometheus.Server(plan.ports[prometheus.NAME], f"{HOST}:{plan.ports[alertmanager.NAME]}")


def _observed(plan: Plan) -> Observed:
    asked = tuple(name for name in plan.engines if name != "envoy")
    return Observed(plan.description, plan.watching.pace if plan.watching else Pace(), asked)


def missing_engines(plan: Plan) -> None:
    """Raises ENGINE_MISSING if the program of any engine of the plan is not installed."""
    wheels = {"postgres": versions.POSTGRES, "nats": versions.NATS, "envoy": versions.ENVOY}
    for name in plan.engines:
        if name in wheels:
            find_program(wheels[name])
