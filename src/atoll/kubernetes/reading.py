"""Reads of a cluster how a system stands and what its pods write."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from atoll.errors import NOT_DEPLOYED
from atoll.kubernetes.breakers import with_breakers
from atoll.kubernetes.client import Api
from atoll.kubernetes.history import History
from atoll.kubernetes.names import Object, Target
from atoll.kubernetes.objects import items, key_of, mapping
from atoll.kubernetes.release import address
from atoll.kubernetes.standing import Standing, workloads
from atoll.kubernetes.waiting import observe

_LOOK_AGAIN = 2.0
_ENDED = ("Succeeded", "Failed")
_WAITING = 10_000
"""Lines that wait to be shown; a pod that writes more meanwhile waits with them."""


@dataclass(frozen=True, slots=True)
class Written:
    """A line of a container. pod: short, such as "checkout-x7k2p".

    time: when the node took it, as RFC 3339 has it; "" of what the node says itself.
    """

    pod: str
    time: str
    text: str


@dataclass(slots=True)
class _Followed:
    """A pod whose lines are read.

    last: the time of the last one, "" for none yet. is_over: it was known to have ended when its task began.
    """

    pod: Object
    last: str = ""
    is_over: bool = False
    task: "asyncio.Task[None] | None" = None


class Follower:
    """The lines of all pods of some services as they come, also of pods that come later.

    services: () for all of the system. count: how many lines from before.
    """

    def __init__(self, api: Api, target: Target, services: Sequence[str], count: int) -> None:
        self._api = api
        self._target = target
        self._services = services
        self._count = count
        self._lines: asyncio.Queue[Written] = asyncio.Queue(_WAITING)
        self._followed: dict[str, _Followed] = {}

    async def lines(self) -> AsyncIterator[Written]:
        """Until the caller stops. Raises AtollError when the cluster can't be reached."""
        looking = asyncio.create_task(self._look())
        try:
            while True:
                arrives = asyncio.ensure_future(self._lines.get())
                await asyncio.wait({arrives, looking}, return_when=asyncio.FIRST_COMPLETED)
                if not arrives.done():
                    arrives.cancel()
                    # It ends by an error alone.
                    looking.result()
                yield arrives.result()
        finally:
            tasks = [looking, *(each.task for each in self._followed.values() if each.task)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            found = {key_of(pod).name: pod for pod in await _pods(self._api, self._target, self._services)}
            for name in self._followed.keys() - found.keys():
                del self._followed[name]
            for name, pod in found.items():
                followed = self._followed.setdefault(name, _Followed(pod))
                phase = mapping(pod, "status").get("phase")
                is_idle = followed.task is None or followed.task.done()
                # Of one that has ended the rest is read as well: it may have begun since the last look.
                if is_idle and not followed.is_over and phase in ("Running", *_ENDED):
                    followed.is_over = phase in _ENDED
                    followed.task = asyncio.create_task(self._read(followed))
            await asyncio.sleep(_LOOK_AGAIN)

    async def _read(self, followed: _Followed) -> None:
        """A container that ended and began again is read on from where it was."""
        pod = followed.pod
        stream = self._api.follow(key_of(pod).name, _container(pod), self._count, since=followed.last)
        async for time, text in stream:
            if not time or time > followed.last:
                followed.last = time or followed.last
                await self._lines.put(Written(_short(pod), time, text))


async def standing(api: Api, target: Target) -> Standing:
    """Raises AtollError NOT_DEPLOYED."""
    revisions, seen, at = await asyncio.gather(
        History(api, target).entries(), observe(api, target.system), address(api, target)
    )
    found = workloads(seen, target.system)
    if not found:
        raise NOT_DEPLOYED.error(system=target.system, namespace=api.namespace)
    last = revisions[-1] if revisions else None
    number, made, note = (last.number, last.made, last.note) if last else (0, "", "")
    watched = await with_breakers(api, target, found, seen.pods)
    return Standing(target.system, api.namespace, number, made, note, at, watched)


async def last_lines(api: Api, target: Target, services: Sequence[str], count: int) -> list[Written]:
    """Of each pod of these services, () for all of the system, its last lines; together in the order of their times.

    Raises AtollError NOT_DEPLOYED.
    """
    pods = await _pods(api, target, services)
    if not pods:
        raise NOT_DEPLOYED.error(system=", ".join(services) or target.system, namespace=api.namespace)
    found = await asyncio.gather(*(api.timed_log(key_of(each).name, _container(each), count) for each in pods))
    written = [Written(_short(pod), *line) for pod, lines in zip(pods, found, strict=True) for line in lines]
    return sorted(written, key=lambda each: each.time)


async def _pods(api: Api, target: Target, services: Sequence[str]) -> list[Object]:
    labels = f"app.kubernetes.io/part-of={target.system}"
    if services:
        labels += f",app in ({','.join(services)})"
    return await api.all("Pod", labels)


def _container(pod: Object) -> str:
    return str(items(pod, "spec", "containers")[0]["name"])


def _short(pod: Object) -> str:
    """Its service and the end of its own name, which tells its replicas apart."""
    app = str(mapping(pod, "metadata", "labels").get("app", ""))
    return f"{app}-{key_of(pod).name.rpartition('-')[2]}"
