"""Starts the engines of a plan, and keeps the gateway's files as the system is."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from atoll.engines import envoy, nats, postgres, versions
from atoll.engines.engine import Engine, HttpGet, Readiness
from atoll.supervisor.envoy_admin import bound_access_log
from atoll.supervisor.gateway import gateway_of
from atoll.supervisor.home import Home
from atoll.supervisor.http import ask
from atoll.supervisor.initdb import prepare_postgres
from atoll.supervisor.install import find_program, write, write_files
from atoll.supervisor.plan import Plan
from atoll.supervisor.process import Process
from atoll.supervisor.resolve import broker_of

_PATIENCE = 2.0
_KEEP_EVERY = 30.0


class Engines:
    """PostgreSQL, NATS and Envoy of one system on this machine.

    sockets: a folder whose path is short enough for a Unix socket.
    """

    def __init__(self, home: Home, sockets: Path) -> None:
        self._home = home
        self._admin = sockets / "envoy.sock"
        self._places = envoy.Places(home.state / "envoy", self._admin, home.logs / "access.log")
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
                self.server = await prepare_postgres(self._home, plan.ports["postgres"])
                return postgres.engine(self.server)
            case "nats":
                return nats.engine(find_program(versions.NATS), broker_of(plan), self._home.state / "nats")
            case _:
                self._admin.unlink(missing_ok=True)
                return envoy.engine(find_program(versions.ENVOY), gateway_of(plan, serving), self._places)

    def publish(self, plan: Plan, serving: Mapping[str, int]) -> bool:
        """Write routes and endpoints as they are now; Envoy follows. Returns whether anything changed."""
        if not plan.gateway_port:
            return False
        files = envoy.changing(gateway_of(plan, serving), self._places)
        changed = [file for file in files if write(file)]
        return bool(changed)

    async def follows(self, plan: Plan, serving: Mapping[str, int]) -> bool:
        """Whether Envoy knows every endpoint of what serves, and no other, and has found it healthy."""
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = (await ask(HttpGet("/config_dump?include_eds", socket=self._admin))).body
            known = endpoints_in(answer)
        except (OSError, TimeoutError, msgspec.DecodeError):
            return False
        wanted = {
            (cluster.name, endpoint.port, endpoint.health_port)
            for cluster in gateway_of(plan, serving).clusters
            for endpoint in cluster.endpoints
        }
        return wanted == known

    async def keep(self) -> None:
        """Bound Envoy's access log, until cancelled."""
        while True:
            await asyncio.sleep(_KEEP_EVERY)
            await bound_access_log(self._places)

    def close(self) -> None:
        """When none of them runs any more."""
        self._admin.unlink(missing_ok=True)

    def permit(self, plan: Plan) -> bool:
        """Write the broker's users as they are now; it reads them at SIGHUP. Returns whether anything changed."""
        if "nats" not in plan.engines:
            return False
        return write(nats.configuration(broker_of(plan), self._home.state / "nats"))


def missing_engines(plan: Plan) -> None:
    """Raises ENGINE_MISSING if the program of any engine of the plan is not installed."""
    wheels = {"postgres": versions.POSTGRES, "nats": versions.NATS, "envoy": versions.ENVOY}
    for name in plan.engines:
        find_program(wheels[name])


class _Port(msgspec.Struct):
    port_value: int = 0


class _Socket(msgspec.Struct):
    socket_address: _Port = msgspec.field(default_factory=_Port)


class _Endpoint(msgspec.Struct):
    address: _Socket = msgspec.field(default_factory=_Socket)
    health_check_config: _Port = msgspec.field(default_factory=_Port)


class _LbEndpoint(msgspec.Struct):
    endpoint: _Endpoint
    health_status: str = ""


class _Locality(msgspec.Struct):
    lb_endpoints: list[_LbEndpoint] = []


class _Assignment(msgspec.Struct):
    cluster_name: str = ""
    endpoints: list[_Locality] = []


class _Dynamic(msgspec.Struct):
    endpoint_config: _Assignment


class _Section(msgspec.Struct):
    dynamic_endpoint_configs: list[_Dynamic] = []


class _Dump(msgspec.Struct):
    configs: list[_Section] = []


def endpoints_in(dump: str) -> set[tuple[str, int, int]]:
    """The healthy endpoints in what Envoy says of itself: cluster, port, and port of its health if that is another.

    Raises DecodeError.
    """
    return {
        (dynamic.endpoint_config.cluster_name, port, each.endpoint.health_check_config.port_value)
        for section in msgspec.json.decode(dump, type=_Dump).configs
        for dynamic in section.dynamic_endpoint_configs
        for locality in dynamic.endpoint_config.endpoints
        for each in locality.lb_endpoints
        if each.health_status == "HEALTHY" and (port := each.endpoint.address.socket_address.port_value)
    }
