"""Which circuit breakers of a deployed system are not closed, as its pods' figures tell."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from atoll.errors import AtollError
from atoll.kubernetes.client import Api
from atoll.kubernetes.names import Object, Target, admin_port_of
from atoll.kubernetes.objects import mapping
from atoll.kubernetes.standing import Workload
from atoll.wire.breakers import breakers

_WITHIN = 5.0
"""Seconds that all pods together are waited for; of who has not answered then, or may not be asked, nothing is told."""
_AT_ONCE = 16


async def with_breakers(
    api: Api, target: Target, found: Sequence[Workload], pods: Sequence[Object]
) -> tuple[Workload, ...]:
    """The workloads, with the breakers of their pods: "open" if it is so in any of them."""
    ports = {each.name: admin_port_of(each) for each in target.members if each.calls and each.kind != "process"}
    asked = [pod for pod in pods if _app(pod) in ports and _runs(pod)]
    states: dict[str, dict[str, str]] = {}
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(pod: Object) -> None:
        async with gate:
            try:
                reply = await api.ask(pod, ports[_app(pod)], "/metrics")
            except (AtollError, OSError):
                return
        known = states.setdefault(_app(pod), {})
        for destination, state in breakers(reply.body).items():
            if known.get(destination) != "open":
                known[destination] = state

    tasks = [asyncio.create_task(ask(pod)) for pod in asked]
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=_WITHIN)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    return tuple(replace(each, breakers=states.get(each.row.key.name, {})) for each in found)


def _app(pod: Object) -> str:
    return str(mapping(pod, "metadata", "labels").get("app", ""))


def _runs(pod: Object) -> bool:
    return mapping(pod, "status").get("phase") == "Running" and "deletionTimestamp" not in mapping(pod, "metadata")
