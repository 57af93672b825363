"""What a running Envoy is told and asked: to follow a change, to finish what it serves, to begin a new access log."""

import asyncio
from contextlib import suppress
from pathlib import Path

import msgspec

from atoll.engines import envoy
from atoll.engines.engine import HttpGet
from atoll.engines.envoy import Gateway, Places
from atoll.provision.http import ask
from atoll.supervisor.install import write

_ACCESS_LOG_LIMIT = 64 * 2**20
_IN_FLIGHT = "http.gateway.downstream_rq_active"
_LOOK_AGAIN = 0.02


async def change(gateway: Gateway, places: Places, before: Gateway, *, within: float = 2.0) -> None:
    """Let a running Envoy become another gateway on the same port, without an error on what is in both.

    Routes are written when Envoy knows where they lead, or after `within` seconds: a new cluster is used only once its
    replicas were looked at.
    """
    *first, routes = envoy.changing(gateway, places, before)
    for file in first:
        write(file)
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(within):
            while not await _knows(gateway, places):  # noqa: ASYNC110  Envoy tells only who asks
                await asyncio.sleep(_LOOK_AGAIN)
    write(routes)


async def follows(gateway: Gateway, places: Places, *, within: float = 2.0) -> bool:
    """Whether Envoy knows every endpoint of this gateway, and no other, and has found each healthy."""
    try:
        async with asyncio.timeout(within):
            known = endpoints_in((await ask(_admin(places, "/config_dump?include_eds"))).body)
    except (OSError, TimeoutError, msgspec.DecodeError):
        return False
    return known == {
        (cluster.name, endpoint.port, endpoint.health_port)
        for cluster in gateway.clusters
        for endpoint in cluster.endpoints
    }


async def drain(places: Places, *, within: float = 5.0) -> bool:
    """Let requests in flight come to their end, before Envoy is stopped: SIGTERM cuts them.

    New connections are refused from now on. within: seconds; streams and WebSockets may well be longer.
    Returns whether all was answered.
    """
    try:
        async with asyncio.timeout(within):
            await _tell(places, "/drain_listeners")
            while not await _is_idle(places):  # noqa: ASYNC110  Envoy tells only who asks
                await asyncio.sleep(_LOOK_AGAIN)
            return True
    except (TimeoutError, OSError):
        return False


async def bound_access_log(places: Places, *, limit: int = _ACCESS_LOG_LIMIT) -> bool:
    """Rename the access log to `….1` when it has more than `limit` bytes; to be called now and then.

    Returns whether it did.
    """
    log = Path(places.access_log)
    with suppress(OSError):
        if log.stat().st_size > limit:
            log.replace(log.with_name(log.name + ".1"))
            await _tell(places, "/reopen_logs")
            return True
    return False


async def _knows(gateway: Gateway, places: Places) -> bool:
    # A line of it: catalog::127.0.0.1:20001::health_flags::healthy
    active = {line.partition("::")[0] for line in (await ask(_admin(places, "/clusters"))).body.splitlines()}
    return active.issuperset(each.name for each in gateway.clusters)


async def _is_idle(places: Places) -> bool:
    return f"{_IN_FLIGHT}: 0\n" in (await ask(_admin(places, f"/stats?filter={_IN_FLIGHT}"))).body


async def _tell(places: Places, path: str) -> None:
    await ask(_admin(places, path), method="POST")


def _admin(places: Places, path: str) -> HttpGet:
    return HttpGet(path, socket=places.admin)


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
