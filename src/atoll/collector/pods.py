"""Follows the output of a system's pods, by the API of the cluster that the collector itself runs in."""

import asyncio
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec

from atoll.collector.api_server import ApiServer, Body
from atoll.collector.arrivals import Arrival, LogIn, Position
from atoll.collector.lines import parsed
from atoll.collector.refusals import Refused
from atoll.collector.writer import Writer
from atoll.engines.edge import is_access_line

LOOK_EVERY = 2.0
"""Seconds between two looks for pods."""

MOST_CONTAINERS = 500
"""That are followed; further ones are not, which is logged."""

_LONGEST = 600.0
"""Seconds after which an output is asked for anew: a connection that died in silence would not be noticed."""

_AT_ONCE = 2**20
"""Bytes of a line that has no end."""

_TOGETHER = 0.2
"""Seconds in which lines of a container are stored together, and after which what waits tries again."""

_MUCH = 2**15
"""Bytes that are worth to be stored by themselves."""

_TROUBLES = (OSError, TimeoutError, Refused, msgspec.MsgspecError)

_GATEWAY = "gateway"
"""The label `app` of Envoy's pods."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")

logger = logging.getLogger("atoll.collector")


class Container(NamedTuple):
    """One that has output. service: the pod's label `app`. id: another one after each restart."""

    service: str
    pod: str
    uid: str
    name: str
    id: str

    @property
    def position(self) -> str:
        """Under which name it is kept how far it was followed."""
        return f"pod:{self.pod}/{self.name}"


class _Status(msgspec.Struct):
    """Of a container. state: its one key is waiting, running or terminated."""

    name: str
    container_id: str = msgspec.field(default="", name="containerID")
    state: dict[str, object] = {}


class _Statuses(msgspec.Struct, rename="camel"):
    init_container_statuses: tuple[_Status, ...] = ()
    container_statuses: tuple[_Status, ...] = ()


class _Metadata(msgspec.Struct):
    name: str
    uid: str
    labels: dict[str, str] = {}


class _Pod(msgspec.Struct):
    metadata: _Metadata
    status: _Statuses = msgspec.field(default_factory=_Statuses)


class _Listed(msgspec.Struct):
    items: list[dict[str, object]] = []


class Pods:
    """Follows every container of the system's pods but the collector's own, each line once.

    look_every: seconds.
    """

    def __init__(
        self, system: str, namespace: str, writer: Writer, api: ApiServer, look_every: float = LOOK_EVERY
    ) -> None:
        self._system, self._namespace, self._writer, self._api = system, namespace, writer, api
        self._look_every = look_every
        self._positions: dict[str, Position] = {}
        self._listed: Sequence[Mapping[str, object]] = ()
        # Of each container there is: at work, MOST_CONTAINERS at most, or whether it came to its end.
        self._followed: dict[Container, asyncio.Task[bool]] = {}

    def listed(self) -> Sequence[Mapping[str, object]]:
        """The pods as the API server told them a moment ago; none while it does not answer."""
        return self._listed

    async def run(self) -> None:
        """Until cancelled. An API server that does not answer is asked again."""
        self._positions = await self._writer.positions()
        try:
            while True:
                try:
                    await self._look()
                except _TROUBLES as error:
                    self._listed = ()
                    logger.warning("the pods can't be listed now: %s", error)
                await asyncio.sleep(self._look_every)
        finally:
            for task in self._followed.values():
                task.cancel()
            await asyncio.gather(*self._followed.values(), return_exceptions=True)

    async def _look(self) -> None:
        # As of a moment ago is enough, and spares the cluster's own store.
        query = urlencode({"labelSelector": f"app.kubernetes.io/part-of={self._system}", "resourceVersion": "0"})
        answer = await self._api.get(f"/api/v1/namespaces/{self._namespace}/pods?{query}")
        listed = msgspec.json.decode(answer, type=_Listed).items
        containers = dict(_containers(msgspec.convert(listed, list[_Pod])))
        self._listed = listed
        await self._leave(containers)
        for container, is_running in containers.items():
            task = self._followed.get(container)
            if task and not (task.done() and (is_running or not task.result())):
                continue
            if sum(not each.done() for each in self._followed.values()) >= MOST_CONTAINERS:
                logger.warning("of %d containers the output of %d is followed", len(containers), MOST_CONTAINERS)
                return
            self._followed[container] = asyncio.create_task(self._follow(container))

    async def _leave(self, containers: Mapping[Container, bool]) -> None:
        """Forget those that are gone and read to their end."""
        for each in [each for each, task in self._followed.items() if each not in containers and task.done()]:
            del self._followed[each]
        kept = {each.position for each in (*containers, *self._followed)}
        gone = [name for name in self._positions if name not in kept]
        if gone:
            await self._writer.put(lambda _: Arrival(gone=gone), 0)
            for name in gone:
                del self._positions[name]

    async def _follow(self, container: Container) -> bool:
        """Until it ends, or for so long. Whether there was no trouble."""
        name = container.position
        known = self._positions.get(name)
        since = known.position if known and known.place == container.uid else ""
        wanted = {"container": container.name, "timestamps": "true", "follow": "true"}
        if since:
            # Of which it takes the seconds alone.
            wanted["sinceTime"] = f"{since[:19]}Z"
        path = f"/api/v1/namespaces/{self._namespace}/pods/{container.pod}/log?{urlencode(wanted)}"
        rest, until = b"", time.monotonic() + _LONGEST
        try:
            async with self._api.ask(path) as body:
                while part := await _part(body, until):
                    whole, rest = _whole(rest + part)
                    since = await self._store(name, container, whole, since)
                    if len(part) < _MUCH:
                        await asyncio.sleep(_TOGETHER)
                if time.monotonic() < until:
                    # It ended, perhaps without the end of a line.
                    await self._store(name, container, rest, since)
        except _TROUBLES as error:
            logger.info("the output of %s can't be read now: %s", name, error)
            return False
        except Exception:  # what one container writes must not end the following of all
            logger.exception("the output of %s can't be read", name)
            return False
        return True

    async def _store(self, name: str, container: Container, text: bytes, since: str) -> str:
        """The time of the last line. What is too much waits here, and what comes after it in the cluster."""
        lines, last = _lines(text.decode(errors="replace"), container, since)
        position = Position(name, container.uid, last)
        while lines:
            try:
                with self._writer.room() as take:
                    take(len(text))
                    await self._writer.put(lambda _: Arrival(len(text), logs=lines, positions=[position]), len(text))
            except Refused as refused:
                logger.info("%s waits to be stored: %s", name, refused.reason)
                await asyncio.sleep(_TOGETHER)
            else:
                break
        self._positions[name] = position
        return last


def _containers(pods: Sequence[_Pod]) -> Iterator[tuple[Container, bool]]:
    """Those that have begun, and whether they run."""
    for pod in pods:
        known, status = pod.metadata, pod.status
        if known.labels.get("app.kubernetes.io/component") == "collector":
            continue
        for each in (*status.init_container_statuses, *status.container_statuses):
            if each.container_id:
                container = Container(known.labels.get("app", ""), known.name, known.uid, each.name, each.container_id)
                yield container, "running" in each.state


async def _part(body: Body, until: float) -> bytes:
    """What comes next; b"" at the end, and when it is time."""
    try:
        async with asyncio.timeout(until - time.monotonic()):
            return await body.read()
    except TimeoutError:
        return b""


def _whole(text: bytes) -> tuple[bytes, bytes]:
    """Lines with their ends, and the rest."""
    end = text.rfind(b"\n") + 1
    if not end and len(text) >= _AT_ONCE:
        end = len(text)
    return text[:end], text[end:]


def _lines(text: str, container: Container, since: str) -> tuple[list[LogIn], str]:
    """Those after the time of `since`, and the time of the last one.

    2026-11-26T12:00:00.123456789Z {"level":"info",…
    """
    lines: list[LogIn] = []
    last = since
    for line in text.splitlines():
        said, _, rest = line.partition(" ")
        # A node that can't read a file says so in its place, without a time.
        if not _TIME.fullmatch(said) or _sortable(said) <= _sortable(since) or not rest.strip():
            continue
        last = said
        if container.service == _GATEWAY and is_access_line(rest):
            continue
        lines.append(parsed(rest, container.service, container.pod, _nanoseconds(said)))
    return lines, last


def _sortable(said: str) -> str:
    """Fractions have as many digits as they need: "…00.1Z" is later than "…00.09Z"."""
    seconds, _, fraction = said.removesuffix("Z").partition(".")
    return f"{seconds}.{fraction:0<9}" if said else ""


def _nanoseconds(said: str) -> int:
    seconds = datetime.strptime(said[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return int(seconds.timestamp()) * 1_000_000_000 + int(_sortable(said).partition(".")[2])
